// SPDX-License-Identifier: GPL-2.0
/*
 * Runs KUnit suites on a kernel without CONFIG_KUNIT, as Debian's are: defines
 * the symbols that the macros of <kunit/test.h> refer to and prints KTAP.
 */

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "shim.h"

#if !IS_ENABLED(CONFIG_KUNIT)

/* KUnit formats a failure with these; here they only tell kinds apart. */

void kunit_unary_assert_format(const struct kunit_assert *assert,
			       const struct va_format *message,
			       struct string_stream *stream)
{
}

void kunit_binary_assert_format(const struct kunit_assert *assert,
				const struct va_format *message,
				struct string_stream *stream)
{
}

void kunit_binary_ptr_assert_format(const struct kunit_assert *assert,
				    const struct va_format *message,
				    struct string_stream *stream)
{
}

void kunit_binary_str_assert_format(const struct kunit_assert *assert,
				    const struct va_format *message,
				    struct string_stream *stream)
{
}

void kunit_mem_assert_format(const struct kunit_assert *assert,
			     const struct va_format *message,
			     struct string_stream *stream)
{
}

/* The log that KUnit keeps for debugfs; ours is the kernel's. */
void kunit_log_append(struct string_stream *log, const char *fmt, ...)
{
}

static void vnet_shim_details(const struct kunit_assert *assert,
			      assert_format_t format)
{
	const struct kunit_binary_assert *binary;
	const struct kunit_unary_assert *unary;

	if (format == kunit_binary_assert_format) {
		binary = container_of(assert, struct kunit_binary_assert,
				      assert);
		pr_info("    # expected %s %s %s, but %lld, %lld\n",
			binary->text->left_text, binary->text->operation,
			binary->text->right_text, binary->left_value,
			binary->right_value);
	} else if (format == kunit_unary_assert_format) {
		unary = container_of(assert, struct kunit_unary_assert, assert);
		pr_info("    # expected %s to be %s\n", unary->condition,
			unary->expected_true ? "true" : "false");
	}
}

void __kunit_do_failed_assertion(struct kunit *test,
				 const struct kunit_loc *loc,
				 enum kunit_assert_type type,
				 const struct kunit_assert *assert,
				 assert_format_t assert_format,
				 const char *fmt, ...)
{
	struct va_format message;
	va_list args;

	kunit_set_failure(test);
	pr_info("    # %s: %s failed at %s:%d\n", test->name,
		type == KUNIT_ASSERTION ? "assertion" : "expectation",
		loc->file, loc->line);
	vnet_shim_details(assert, assert_format);
	if (!fmt)
		return;

	va_start(args, fmt);
	message.fmt = fmt;
	message.va = &args;
	pr_info("    # %pV\n", &message);
	va_end(args);
}

/**
 * struct vnet_shim_case - one run of one case
 * @test: context of the case
 * @suite: suite of the case
 * @run: the case
 * @done: completed when its thread ends
 */
struct vnet_shim_case {
	struct kunit test;
	struct kunit_suite *suite;
	struct kunit_case *run;
	struct completion done;
};

void __noreturn __kunit_abort(struct kunit *test)
{
	struct vnet_shim_case *c;

	c = container_of(test, struct vnet_shim_case, test);
	kthread_complete_and_exit(&c->done, 0);
}

static int vnet_shim_thread(void *data)
{
	struct vnet_shim_case *c = data;

	if (c->suite->init && c->suite->init(&c->test))
		kunit_set_failure(&c->test);
	else
		c->run->run_case(&c->test);

	kthread_complete_and_exit(&c->done, 0);
}

static bool vnet_shim_case(struct kunit_suite *suite, struct kunit_case *run)
{
	struct vnet_shim_case c = {
		.test.name = run->name,
		.suite = suite,
		.run = run,
	};
	struct task_struct *task;

	init_completion(&c.done);

	/* An assertion ends the thread, so each case has one. */
	task = kthread_run(vnet_shim_thread, &c, "vnet_kunit");
	if (IS_ERR(task))
		return false;
	wait_for_completion(&c.done);
	if (suite->exit)
		suite->exit(&c.test);

	return c.test.status == KUNIT_SUCCESS;
}

static bool vnet_shim_suite(struct kunit_suite *suite)
{
	struct kunit_case *run;
	unsigned int nr = 0;
	bool passed = true;
	bool ok;

	for (run = suite->test_cases; run->run_case; run++)
		nr++;
	pr_info("    KTAP version 1\n");
	pr_info("    # Subtest: %s\n", suite->name);
	pr_info("    1..%u\n", nr);

	nr = 0;
	for (run = suite->test_cases; run->run_case; run++) {
		ok = vnet_shim_case(suite, run);
		pr_info("    %s %u %s\n", ok ? "ok" : "not ok", ++nr, run->name);
		passed &= ok;
	}

	return passed;
}

/**
 * vnet_shim_run() - run suites and print KTAP
 * @suites: the suites
 * @nr: number of @suites
 *
 * Return: 0; what failed is in the log.
 */
int vnet_shim_run(struct kunit_suite *const *suites, unsigned int nr)
{
	unsigned int i;
	bool ok;

	pr_info("KTAP version 1\n");
	pr_info("1..%u\n", nr);
	for (i = 0; i < nr; i++) {
		ok = vnet_shim_suite(suites[i]);
		pr_info("%s %u %s\n", ok ? "ok" : "not ok", i + 1,
			suites[i]->name);
	}

	return 0;
}

#endif
