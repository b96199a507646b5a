# SPDX-License-Identifier: GPL-2.0
import sys

from .server import main

sys.exit(main(sys.argv[1:]))
