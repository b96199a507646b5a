// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU TCG plugin: how often was each instruction of the guest kernel executed?
 *
 * The guest opens and closes a window by executing a long no-op with a magic
 * displacement.  While a window is open every translation block counts its
 * executions (one inline addition per block, no call).  Closing the window
 * writes one file, DIR/NNNN, with a line "address executions" in hexadecimal
 * and decimal for each kernel address, and one line "user N".
 *
 * A block has no exit but its end, an exception, or the first instruction of a
 * repeated string operation, so the count of the block is the count of each of
 * its instructions; a fault inside a block is the only, negligible, error.
 *
 * With mem=on each load and store of the kernel is seen, too, those of string
 * instructions one by one, and goes through a model of two caches, so the file
 * has a line "m address loads stores read written l1 l2" for each block: accesses,
 * their bytes, and the lines that the caches did not have.  What a device writes
 * is in the caches if it was there before; that is so for every driver.
 *
 * The interface is version 7 of the plugin API (QEMU 11.1).  QEMU's header is
 * not packaged, hence the declarations.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of the plugin API that is used. */
#define PLUGIN_EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;

typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;

enum { INLINE_ADD_U64 = 0 };
enum { CB_NO_REGS = 0 };
enum { MEM_RW = 3 };

typedef void (*tb_trans_cb_t)(struct qemu_plugin_tb *tb, void *userdata);
typedef void (*vcpu_cb_t)(unsigned int vcpu, void *userdata);
typedef void (*mem_cb_t)(unsigned int vcpu, uint32_t info, uint64_t addr,
			 void *userdata);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_trans_cb_t cb,
					   void *userdata);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    vcpu_cb_t cb, int flags,
					    void *userdata);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb,
						       int op,
						       qemu_plugin_u64 entry,
						       uint64_t imm);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_cb_t cb,
				      int flags, int rw, void *userdata);
unsigned int qemu_plugin_mem_size_shift(uint32_t info);
bool qemu_plugin_mem_is_store(uint32_t info);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t idx);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dest,
			     size_t len);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score,
				  unsigned int vcpu);

PLUGIN_EXPORT int qemu_plugin_version = 7;

/* nopl 0x766e6fNN(%rax,%rax,1): NN 01 opens, 02 closes (see guest.c) */
static const uint8_t magic[] = { 0x0f, 0x1f, 0x84, 0x00 };
static const uint8_t magic_tail[] = { 0x6f, 0x6e, 0x76 };

enum { MAGIC_LEN = 8, MAGIC_OPEN = 1, MAGIC_CLOSE = 2 };

enum {
	MAX_BLOCKS = 1 << 20,	/* slot 0 counts user instructions */
	HASH_SIZE = 1 << 21,
};

struct block {
	uint64_t addr;
	uint16_t nr;
	uint8_t *sizes;		/* length of each instruction */
};

static struct block blocks[MAX_BLOCKS];
static uint32_t nr_blocks = 1;
static uint32_t block_hash[HASH_SIZE];

/* What the instructions of a block have accessed; one vCPU writes. */
struct accesses {
	uint64_t loads, stores;
	uint64_t read, written;
	uint64_t missed[2];
};

/* A set-associative cache of 64-byte lines; the oldest line of a set goes. */
struct cache {
	unsigned int sets, ways;
	uint64_t *lines;	/* addresses / 64, 0 for none */
	uint64_t *used;		/* when */
};

static struct qemu_plugin_scoreboard *board;
static struct accesses *accesses;	/* NULL without mem=on */
static struct cache caches[2] = {
	{ .sets = 64, .ways = 8 },	/* 32 KiB */
	{ .sets = 1024, .ways = 16 },	/* 1 MiB */
};

static uint64_t now;
static const char *out_dir;
static unsigned int nr_windows;

static bool is_kernel(uint64_t addr)
{
	return addr >> 63;
}

static uint32_t hash_start(uint64_t addr, size_t nr)
{
	return (uint32_t)((addr * 0x9e3779b97f4a7c15ull) >> 40) * 31 + nr;
}

/* Find the slot of a block, or make one; 0 when the table is full. */
static uint32_t block_slot(uint64_t addr, const uint8_t *sizes, size_t nr)
{
	uint32_t h = hash_start(addr, nr);
	struct block *b;

	for (;; h++) {
		uint32_t *slot = &block_hash[h % HASH_SIZE];

		if (!*slot) {
			if (nr_blocks == MAX_BLOCKS)
				return 0;
			b = &blocks[nr_blocks];
			b->sizes = malloc(nr);
			if (!b->sizes)
				return 0;
			memcpy(b->sizes, sizes, nr);
			b->addr = addr;
			b->nr = nr;
			*slot = nr_blocks++;
			return *slot;
		}

		b = &blocks[*slot];
		if (b->addr == addr && b->nr == nr &&
		    !memcmp(b->sizes, sizes, nr))
			return *slot;
	}
}

/* Was the line of @addr in the cache? It is from now on. */
static bool cache_has(struct cache *c, uint64_t addr)
{
	uint64_t line = addr / 64;
	uint64_t first = line % c->sets * c->ways, oldest = first;

	for (uint64_t i = first; i < first + c->ways; i++) {
		if (c->lines[i] == line) {
			c->used[i] = now;
			return true;
		}
		if (c->used[i] < c->used[oldest])
			oldest = i;
	}
	c->lines[oldest] = line;
	c->used[oldest] = now;

	return false;
}

static void on_access(unsigned int vcpu, uint32_t info, uint64_t addr,
		      void *userdata)
{
	struct accesses *a = &accesses[(uintptr_t)userdata];
	uint64_t size = 1 << qemu_plugin_mem_size_shift(info);

	(void)vcpu;
	now++;
	if (qemu_plugin_mem_is_store(info)) {
		a->stores++;
		a->written += size;
	} else {
		a->loads++;
		a->read += size;
	}
	for (unsigned int i = 0; i < 2 && !cache_has(&caches[i], addr); i++)
		a->missed[i]++;
}

static bool memory_init(void)
{
	accesses = calloc(MAX_BLOCKS, sizeof(*accesses));
	for (unsigned int i = 0; i < 2; i++) {
		size_t lines = (size_t)caches[i].sets * caches[i].ways;

		caches[i].lines = calloc(lines, sizeof(uint64_t));
		caches[i].used = calloc(lines, sizeof(uint64_t));
		if (!caches[i].lines || !caches[i].used)
			return false;
	}

	return accesses;
}

struct sample {
	uint64_t addr;
	uint64_t count;
};

static int sample_cmp(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static size_t collect(struct sample *samples, const uint64_t *counts)
{
	size_t n = 0;

	for (uint32_t i = 1; i < nr_blocks; i++) {
		uint64_t addr = blocks[i].addr;

		if (!counts[i])
			continue;
		for (unsigned int k = 0; k < blocks[i].nr; k++) {
			if (samples) {
				samples[n].addr = addr;
				samples[n].count = counts[i];
			}
			addr += blocks[i].sizes[k];
			n++;
		}
	}

	return n;
}

static void window_write(FILE *f, const uint64_t *counts)
{
	size_t n = collect(NULL, counts);
	struct sample *samples = calloc(n + 1, sizeof(*samples));

	if (!samples)
		return;
	collect(samples, counts);
	qsort(samples, n, sizeof(*samples), sample_cmp);

	fprintf(f, "user %" PRIu64 "\n", counts[0]);
	for (size_t i = 0; i < n; ) {
		uint64_t addr = samples[i].addr, sum = 0;

		for (; i < n && samples[i].addr == addr; i++)
			sum += samples[i].count;
		fprintf(f, "%" PRIx64 " %" PRIu64 "\n", addr, sum);
	}
	free(samples);

	for (uint32_t i = 1; accesses && i < nr_blocks; i++) {
		const struct accesses *a = &accesses[i];

		if (a->loads + a->stores)
			fprintf(f, "m %" PRIx64 " %" PRIu64 " %" PRIu64
				" %" PRIu64 " %" PRIu64 " %" PRIu64
				" %" PRIu64 "\n", blocks[i].addr, a->loads,
				a->stores, a->read, a->written, a->missed[0],
				a->missed[1]);
	}
}

static void on_open(unsigned int vcpu, void *userdata)
{
	(void)userdata;
	memset(qemu_plugin_scoreboard_find(board, vcpu), 0,
	       MAX_BLOCKS * sizeof(uint64_t));
	if (accesses)
		memset(accesses, 0, MAX_BLOCKS * sizeof(*accesses));
}

static void on_close(unsigned int vcpu, void *userdata)
{
	char path[4096], tmp[4104];
	FILE *f;

	(void)userdata;
	snprintf(path, sizeof(path), "%s/%04u", out_dir, nr_windows++);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	f = fopen(tmp, "w");
	if (!f) {
		perror(tmp);
		return;
	}
	window_write(f, qemu_plugin_scoreboard_find(board, vcpu));
	fclose(f);
	rename(tmp, path);
}

static void check_magic(struct qemu_plugin_insn *insn)
{
	uint8_t d[MAGIC_LEN];

	if (qemu_plugin_insn_size(insn) != MAGIC_LEN ||
	    qemu_plugin_insn_data(insn, d, MAGIC_LEN) != MAGIC_LEN ||
	    memcmp(d, magic, sizeof(magic)) ||
	    memcmp(d + 5, magic_tail, sizeof(magic_tail)))
		return;

	if (d[4] == MAGIC_OPEN)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_open,
						       CB_NO_REGS, NULL);
	else if (d[4] == MAGIC_CLOSE)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_close,
						       CB_NO_REGS, NULL);
}

/* Add @nr to the counter of the block each time that it runs. */
static void count_block(struct qemu_plugin_tb *tb, qemu_plugin_u64 entry,
			size_t nr)
{
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, INLINE_ADD_U64,
							  entry, nr);
}

static void on_translate(struct qemu_plugin_tb *tb, void *userdata)
{
	size_t nr = qemu_plugin_tb_n_insns(tb);
	qemu_plugin_u64 entry = { .score = board };
	uint8_t sizes[1024];
	uint32_t slot;
	uint64_t addr = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));

	(void)userdata;
	if (nr > sizeof(sizes))
		nr = sizeof(sizes);

	if (!is_kernel(addr)) {
		for (size_t i = 0; i < nr; i++)
			check_magic(qemu_plugin_tb_get_insn(tb, i));
		count_block(tb, entry, nr);
		return;
	}

	for (size_t i = 0; i < nr; i++)
		sizes[i] = qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));

	slot = block_slot(addr, sizes, nr);
	if (!slot)
		return;

	entry.offset = slot * sizeof(uint64_t);
	count_block(tb, entry, 1);
	for (size_t i = 0; accesses && i < nr; i++)
		qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i),
						 on_access, CB_NO_REGS, MEM_RW,
						 (void *)(uintptr_t)slot);
}

PLUGIN_EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc,
				      char **argv)
{
	(void)info;
	if (argc < 1 || argc > 2 || strncmp(argv[0], "out=", 4) ||
	    (argc == 2 && strcmp(argv[1], "mem=on"))) {
		fprintf(stderr, "plugin: give the options out=DIR[,mem=on]\n");
		return -1;
	}
	if (argc == 2 && !memory_init())
		return -1;
	out_dir = argv[0] + 4;
	board = qemu_plugin_scoreboard_new(MAX_BLOCKS * sizeof(uint64_t));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, NULL);

	return 0;
}
