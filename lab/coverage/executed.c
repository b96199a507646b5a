// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU TCG plugin: which instructions of modules has the guest kernel executed?
 *
 * A block is translated when it is about to be executed for the first time, so
 * being translated is being executed: nothing runs with the guest, and the guest
 * is as fast as without. At the end a file, named by out=, has one line
 * "first last" in hexadecimal for each run of bytes.
 *
 * The interface is version 7 of the plugin API; QEMU's header is not packaged,
 * hence the declarations.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PLUGIN_EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;

typedef void (*tb_trans_cb_t)(struct qemu_plugin_tb *tb, void *userdata);
typedef void (*end_cb_t)(void *userdata);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_trans_cb_t cb,
					   void *userdata);
void qemu_plugin_register_atexit_cb(uint64_t id, end_cb_t cb, void *userdata);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t idx);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

PLUGIN_EXPORT int qemu_plugin_version = 7;

/* Where modules of x86-64 are. */
#define FIRST	UINT64_C(0xffffffffc0000000)
#define BYTES	UINT64_C(0x3f000000)

/* A byte for each: two CPUs may write at once, and both write the same. */
static uint8_t *seen;
static char path[4096];

static void translated(struct qemu_plugin_tb *tb, void *userdata)
{
	size_t nr = qemu_plugin_tb_n_insns(tb), i;

	(void)userdata;
	for (i = 0; i < nr; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn) - FIRST;
		size_t size = qemu_plugin_insn_size(insn);

		if (at < BYTES - size)
			memset(seen + at, 1, size);
	}
}

static void ended(void *userdata)
{
	FILE *file = fopen(path, "w");
	const uint8_t *at = seen, *end = seen + BYTES, *stop;

	(void)userdata;
	if (!file)
		return;
	while ((at = memchr(at, 1, end - at))) {
		stop = memchr(at, 0, end - at);
		if (!stop)
			stop = end;
		fprintf(file, "%" PRIx64 " %" PRIx64 "\n",
			FIRST + (uint64_t)(at - seen),
			FIRST + (uint64_t)(stop - seen));
		at = stop;
	}
	fclose(file);
}

PLUGIN_EXPORT int qemu_plugin_install(uint64_t id, const qemu_info_t *info,
				      int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) ||
	    strlen(argv[0]) >= sizeof(path)) {
		fprintf(stderr, "executed: out=FILE, and nothing else\n");
		return -1;
	}
	snprintf(path, sizeof(path), "%s", argv[0] + 4);
	/* private and without memory until it is written to */
	seen = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (seen == MAP_FAILED)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated, NULL);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
