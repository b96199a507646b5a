// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU TCG plugin: which instructions of modules has the guest kernel executed,
 * and which block of a module was next after which?
 *
 * A block is translated when it is about to be executed for the first time, so
 * being translated is being executed. Which way a conditional jump has gone is
 * told by the block that was executed next on that CPU; so there is a call
 * for every block of a module that is executed, and none for other blocks. At
 * the end a file, named by out= and .0, has one line "first last" in hexadecimal
 * for each run of bytes, and one with .ways at the end of its name a line "last
 * first" for each pair of blocks: the last instruction of one, the first of the
 * next.
 *
 * A module that is loaded again lies elsewhere. Whoever loads it makes a file
 * with .cut at the end of its name before: what was seen until then is written
 * to .0, what comes to .1 and so on.
 *
 * The interface is version 7 of the plugin API; QEMU's header is not packaged,
 * hence the declarations.
 */
#include <inttypes.h>
#include <stddef.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PLUGIN_EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;

typedef void (*tb_trans_cb_t)(struct qemu_plugin_tb *tb, void *userdata);
typedef void (*exec_cb_t)(unsigned int cpu, void *userdata);
typedef void (*end_cb_t)(void *userdata);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_trans_cb_t cb,
					   void *userdata);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_cb_t cb,
					  int flags, void *userdata);
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

#define CPUS	64	/* of which ways are noted */
#define BEFORE	32	/* ways into one block; more are not noted */

/* A block: where it begins and ends, and after which blocks it was seen. */
struct block {
	uint64_t first, last;
	unsigned int nr;
	uint64_t before[BEFORE];
};

struct way {
	uint64_t last, first;
};

/* A byte for each, and where the first and the last of them are that were seen. */
static uint8_t *seen;
static uint64_t low = BYTES, high;
static char path[4096];
static unsigned int part;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t ended_at[CPUS];	/* each CPU its own */
static struct way *ways;
static size_t nr_ways, room;

/* What is there stays: it is added to under the lock, and read without. */
static int known(const struct block *b, uint64_t last)
{
	unsigned int nr = __atomic_load_n(&b->nr, __ATOMIC_ACQUIRE), i;

	for (i = 0; i < nr; i++)
		if (b->before[i] == last)
			return 1;
	return nr == BEFORE;
}

static void executed(unsigned int cpu, void *userdata)
{
	struct block *b = userdata;
	uint64_t last;

	if (cpu >= CPUS)
		return;
	last = ended_at[cpu];
	ended_at[cpu] = b->last;
	if (!last || known(b, last))
		return;
	pthread_mutex_lock(&lock);
	if (!known(b, last)) {
		if (nr_ways == room) {
			room = room ? 2 * room : 4096;
			ways = realloc(ways, room * sizeof(*ways));
			if (!ways)
				abort();
		}
		ways[nr_ways++] = (struct way){ last, b->first };
		b->before[b->nr] = last;
		__atomic_store_n(&b->nr, b->nr + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
}

/* A file of this part; NULL if it cannot be. */
static FILE *begin(const char *end)
{
	char name[sizeof(path) + 32];

	snprintf(name, sizeof(name), "%s.%u%s", path, part, end);
	return fopen(name, "w");
}

/* The lock is held, or nobody else is there any more. */
static void write_part(void)
{
	const uint8_t *at = seen + low, *end = seen + high, *stop;
	FILE *file = begin(".ways");
	size_t i;

	if (!file)
		return;
	for (i = 0; i < nr_ways; i++)
		fprintf(file, "%" PRIx64 " %" PRIx64 "\n", ways[i].last, ways[i].first);
	fclose(file);

	file = begin("");
	if (!file)
		return;
	while (at < end && (at = memchr(at, 1, end - at))) {
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

/* Begin with another part, when somebody wants it; the lock is held. */
static void next_part(void)
{
	char name[sizeof(path) + 8];

	snprintf(name, sizeof(name), "%s.cut", path);
	if (unlink(name))
		return;
	write_part();
	part++;
	nr_ways = 0;
	if (low < high)
		memset(seen + low, 0, high - low);
	low = BYTES;
	high = 0;
}

static void translated(struct qemu_plugin_tb *tb, void *userdata)
{
	size_t nr = qemu_plugin_tb_n_insns(tb), i;
	uint64_t first, last;
	struct block *b;

	(void)userdata;
	if (!nr)
		return;
	first = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
	last = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, nr - 1));
	if (first - FIRST >= BYTES)
		return;

	pthread_mutex_lock(&lock);
	next_part();
	for (i = 0; i < nr; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn) - FIRST;
		size_t size = qemu_plugin_insn_size(insn);

		if (at >= BYTES - size)
			continue;
		memset(seen + at, 1, size);
		if (at < low)
			low = at;
		if (at + size > high)
			high = at + size;
	}
	pthread_mutex_unlock(&lock);

	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->first = first;
	b->last = last;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, b);
}

static void ended(void *userdata)
{
	(void)userdata;
	pthread_mutex_lock(&lock);
	write_part();
	pthread_mutex_unlock(&lock);
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
