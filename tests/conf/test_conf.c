/* Whole files: defaults, overrides, peers, printing and reading back, reloading.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/conf.h"

#include <unistd.h>

static void an_empty_file_is_the_defaults(void **state)
{
	struct conf_fixture *f = *state;
	assert_int_equal(conf_parse(f, ""), SL_OK);
	assert_string_equal(f->conf.dicom.ae_title, "SLUICE");
	assert_int_equal(f->conf.dicom.port, 11112);
	assert_int_equal(f->conf.dicom.bind_n, 1);
	assert_string_equal(f->conf.dicom.bind[0], "127.0.0.1");
	assert_int_equal(f->conf.pool.buffers, 64);
	assert_true(f->conf.pool.buffer_size == SL_MIB);
	assert_int_equal(f->conf.storage.high_watermark.hundredths, 8500);
	assert_int_equal(f->conf.storage.duplicates, SL_CONF_DUPLICATES_LATEST);
	assert_int_equal(f->conf.peer_n, 0);
}

/* What a generator writes; the caller frees it. Not inlined: gcc 12 at -O3 takes what open_memstream()
 * stored for a pointer to the local variable. */
static __attribute__((noinline)) char *generated(void (*generate)(FILE *out))
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	assert_non_null(out);
	generate(out);
	fclose(out);
	return text;
}

static void every_cut_of_the_sample_is_survived(void **state)
{
	struct conf_fixture *f = *state;
	char *text = generated(sl_conf_sample);
	size_t n = strlen(text);
	for (size_t cut = 0; cut < n; cut += 7) {
		memset(&f->errors, 0, sizeof(f->errors));
		enum sl_status st = sl_conf_parse(&f->conf, "f", text, cut, &f->errors);
		assert_int_equal(st == SL_OK, f->errors.n == 0);
	}
	free(text);
}

static void an_override_wins_and_needs_no_quotes(void **state)
{
	struct conf_fixture *f = *state;
	static const char *const sets[] = {"dicom.port=104", "dicom.artim_timeout=20s",
		"storage.root=/srv/a b", "log.level=debug", "dicom.bind=::1",
		"pool.buffer_size=2MiB", "storage.full_watermark = free 1GiB",
		"dicom.ae_aliases=[\"A\", \"B\"]", "dicom.check_called_ae=true", "log.file=it's",
		"storage.group=\"dicom\"", "dicom.port=105"};
	for (size_t i = 0; i < SL_ARRAY_N(sets); i++)
		assert_int_equal(conf_set(f, sets[i]), SL_OK);
	assert_int_equal(f->conf.dicom.port, 105);
	assert_int_equal(f->conf.dicom.artim_timeout, 20000);
	assert_string_equal(f->conf.storage.root, "/srv/a b");
	assert_int_equal(f->conf.log.level, SL_CONF_LEVEL_DEBUG);
	assert_string_equal(f->conf.dicom.bind[0], "::1");
	assert_true(f->conf.pool.buffer_size == 2 * SL_MIB);
	assert_true(f->conf.storage.full_watermark.is_free_bytes);
	assert_int_equal(f->conf.dicom.ae_aliases_n, 2);
	assert_true(f->conf.dicom.check_called_ae);
	assert_string_equal(f->conf.log.file, "it's");
	assert_string_equal(f->conf.storage.group, "dicom");
	assert_true(f->conf.at[SL_CONF_dicom_port].is_set);
}

static void overrides_that_are_wrong_say_why(void **state)
{
	struct conf_fixture *f = *state;
	static const struct {
		const char *set, *error;
	} rows[] = {
		{"dicom.port=65536",
			"--set: dicom.port: 65536 is out of range; allowed: 0 to 65535"},
		{"dicom.prot=1", "--set: unknown key dicom.prot; did you mean dicom.port?"},
		{"sotrage.root=x", "--set: unknown key sotrage.root; did you mean storage.root?"},
		{"port=1", "--set: unknown key port; did you mean dicom.port?"},
		{"nothing.like.it=1", "--set: unknown key nothing.like.it"},
		{"dicom.port", "--set: dicom.port: write --set group.key=value"},
		{"=1", "--set: =1: write --set group.key=value"},
		{"peer.port=1", "--set: peer.port: peers are listed in the file only"},
		{"log.level=loud", "--set: log.level: \"loud\" is not allowed; allowed: \"debug\", "
				   "\"info\", \"warn\", \"error\""},
		{"dicom.ae_title=", "--set: dicom.ae_title: \"\" is not allowed; allowed: an AE "
				    "title of 1 to 16 "
				    "characters, no backslash"},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		assert_int_equal(conf_set(f, rows[i].set), SL_E_CONFIG);
		conf_assert_error(f, 0, rows[i].error);
		assert_int_equal(f->errors.n, 1);
	}
	assert_int_equal(
		conf_set(f, "dicom.port=1\nloops = 2"), SL_E_CONFIG); /* one value, not a file */
	assert_int_equal(f->conf.dicom.port, 11112);
}

static const char peers[] = "[[peer]]\n"
			    "ae_title = \"CT1\"\n"
			    "from = [\"10.0.0.0/8\", \"fd00::/8\"]\n"
			    "host = \"ct1.example\"\n"
			    "port = 104\n"
			    "[[peer]]\n"
			    "ae_title = \" CT2 \"\n"
			    "max_associations = 3\n"
			    "services = [\"echo\"]\n"
			    "duplicates = \"refuse\"\n"
			    "prefer = \"1.2.840.10008.1.2\"\n";

static void peers_are_read_in_order_with_their_defaults(void **state)
{
	struct conf_fixture *f = *state;
	assert_int_equal(conf_parse(f, peers), SL_OK);
	assert_int_equal(f->conf.peer_n, 2);
	const struct sl_conf_peer *a = &f->conf.peer[0], *b = &f->conf.peer[1];
	assert_string_equal(a->ae_title, "CT1");
	assert_int_equal(a->from_n, 2);
	assert_int_equal(a->from[0].prefix_len, 8);
	assert_true(a->from[1].is_v6);
	assert_int_equal(a->services, 1U << SL_CONF_SERVICE_ECHO | 1U << SL_CONF_SERVICE_STORE);
	assert_int_equal(a->duplicates, SL_CONF_PEER_DUPLICATES_INHERIT);
	assert_string_equal(b->ae_title, "CT2");
	assert_int_equal(b->max_associations, 3);
	assert_int_equal(b->services, 1U << SL_CONF_SERVICE_ECHO);
	assert_string_equal(b->prefer[0], "1.2.840.10008.1.2");
	assert_int_equal(f->conf.peer_at[1].line, 6);
}

static void peers_up_to_256_and_not_one_more(void **state)
{
	struct conf_fixture *f = *state;
	static char text[32768];
	for (int n = SL_CONF_PEERS; n <= SL_CONF_PEERS + 2; n++) {
		size_t len = 0;
		for (int i = 0; i < n; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
				"[[peer]]\nae_title = \"P%d\"\n", i);
		enum sl_status st = conf_parse(f, text);
		assert_int_equal(st, n == SL_CONF_PEERS ? SL_OK : SL_E_CONFIG);
		assert_int_equal(f->conf.peer_n, SL_CONF_PEERS);
		if (st != SL_OK)
			conf_assert_error(f, 0, "f:513:1: more than 256 [[peer]] tables");
		assert_int_equal(f->errors.n, st == SL_OK ? 0 : 1);
	}
}

static void what_is_printed_loads_back_to_the_same(void **state)
{
	struct conf_fixture *f = *state;
	static const char *const sets[] = {"dicom.ae_title=A \"QUOTED\" ONE",
		"storage.root=/a \"b\"\\c/\xc3\xa4", "dicom.bind=[\"127.0.0.1\",\"::1\"]",
		"storage.quota=12345678901", "dicom.min_rate=0", "storage.low_watermark=12.34%",
		"log.heartbeat=0", "dicom.artim_timeout=1500ms", "storage.full_watermark=free 7",
		"index.max_delay=0", "log.identifiers=none"};
	assert_int_equal(conf_parse(f, peers), SL_OK);
	for (size_t i = 0; i < SL_ARRAY_N(sets); i++)
		assert_int_equal(conf_set(f, sets[i]), SL_OK);
	char *first = strdup(conf_text(f, sl_conf_print));
	assert_int_equal(conf_parse(f, first), SL_OK);
	assert_string_equal(conf_text(f, sl_conf_print), first);
	assert_string_equal(f->conf.dicom.ae_title, "A \"QUOTED\" ONE");
	assert_int_equal(f->conf.dicom.artim_timeout, 1500);
	assert_true(f->conf.storage.quota == 12345678901);
	free(first);
}

/* A checked-in file is what its generator writes. Run in the project's root; with SLUICE_UPDATE=1 in
 * the environment the file is written anew. */
static void assert_file_is(const char *path, const char *want)
{
	static char have[65536];
	FILE *f = getenv("SLUICE_UPDATE") != NULL ? fopen(path, "we") : NULL;
	if (f != NULL) {
		assert_int_equal(fputs(want, f) >= 0, 1);
		assert_int_equal(fclose(f), 0);
	}
	f = fopen(path, "re");
	assert_non_null(f);
	size_t n = fread(have, 1, sizeof(have) - 1, f);
	fclose(f);
	have[n] = '\0';
	if (strcmp(have, want) != 0)
		fail_msg("%s is not what the table of keys says; run SLUICE_UPDATE=1 "
			 "build/tests/conf_test_conf",
			path);
}

static void the_sample_is_the_defaults_and_the_file_in_conf(void **state)
{
	struct conf_fixture *f = *state;
	char *sample = generated(sl_conf_sample), *defaults = strdup(conf_text(f, sl_conf_print));
	assert_int_equal(conf_parse(f, sample), SL_OK);
	assert_string_equal(conf_text(f, sl_conf_print), defaults);
	assert_file_is("conf/sluice.toml", sample);
	free(sample);
	free(defaults);
}

static void the_manual_is_the_file_in_doc(void **state)
{
	(void)state;
	char *manual = generated(sl_conf_manual);
	assert_file_is("conf/configuration.md", manual);
	free(manual);
}

static void help_and_manual_name_every_key(void **state)
{
	(void)state;
	for (int is_manual = 0; is_manual < 2; is_manual++) {
		char *text = generated(is_manual ? sl_conf_manual : sl_conf_help), want[128];
		for (size_t i = 0; i < SL_CONF_KEY_N; i++) {
			const struct sl_conf_key *key = &sl_conf_keys[i];
			if (is_manual)
				snprintf(want, sizeof(want), "| `%s` | ", key->name);
			else
				snprintf(want, sizeof(want), "  %s.%s = ", key->group, key->name);
			assert_non_null(strstr(text, want));
			assert_non_null(strstr(text, key->text));
		}
		free(text);
	}
}

struct changes {
	char text[512];
};

static void on_change(void *arg, const char *key, bool is_live)
{
	struct changes *c = arg;
	size_t len = strlen(c->text);
	snprintf(c->text + len, sizeof(c->text) - len, "%s%s ", key, is_live ? "" : "!");
}

static void reload_takes_what_is_live_and_names_all(void **state)
{
	struct conf_fixture *f = *state;
	struct changes changes = {""};
	static const char fresh[] =
		"[dicom]\nport = 104\nartim_timeout = \"5s\"\nae_aliases = [\"X\"]\n"
		"[storage]\nlow_watermark = \"50%\"\n[pool]\nbuffers = 1\n";
	assert_int_equal(conf_parse(f, fresh), SL_OK);
	memcpy(&f->other, &f->conf, sizeof(f->conf));
	assert_int_equal(conf_parse(f, peers), SL_OK);
	sl_conf_reload(&f->conf, &f->other, on_change, &changes);
	assert_string_equal(changes.text,
		"dicom.ae_aliases dicom.port! dicom.artim_timeout pool.buffers! "
		"storage.low_watermark peer ");
	assert_int_equal(f->conf.dicom.port, 11112);
	assert_int_equal(f->conf.pool.buffers, 64);
	assert_int_equal(f->conf.dicom.artim_timeout, 5000);
	assert_int_equal(f->conf.dicom.ae_aliases_n, 1);
	assert_int_equal(f->conf.storage.low_watermark.hundredths, 5000);
	assert_int_equal(f->conf.peer_n, 0);
	changes.text[0] = '\0';
	memcpy(&f->other, &f->conf, sizeof(f->conf));
	sl_conf_reload(&f->conf, &f->other, on_change, &changes);
	assert_string_equal(changes.text, "");
}

static void a_file_is_loaded_with_its_overrides(void **state)
{
	struct conf_fixture *f = *state;
	char path[] = "/tmp/sl_conf_XXXXXX";
	static const char *const sets[] = {"dicom.port=105", "dicom.prot=1"};
	static const char text[] = "[dicom]\nport = 104\nmax_pdu = 16384\n";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_int_equal(sl_conf_load(&f->conf, path, sets, 1, &f->errors), SL_OK);
	assert_int_equal(f->conf.dicom.port, 105);
	assert_int_equal(f->conf.dicom.max_pdu, 16384);
	assert_int_equal(sl_conf_load(&f->conf, path, sets, 2, &f->errors), SL_E_CONFIG);
	assert_int_equal(f->errors.n, 1);
	unlink(path);
	memset(&f->errors, 0, sizeof(f->errors));
	assert_int_equal(sl_conf_load(&f->conf, path, NULL, 0, &f->errors), SL_E_CONFIG);
	assert_non_null(
		strstr(f->errors.items[0].text, "cannot be read: No such file or directory"));
	memset(&f->errors, 0, sizeof(f->errors));
	assert_int_equal(sl_conf_load(&f->conf, "/", NULL, 0, &f->errors), SL_E_CONFIG);
	assert_non_null(strstr(f->errors.items[0].text, "cannot be read: Is a directory"));
	assert_int_equal(sl_conf_load(&f->conf, NULL, NULL, 0, &f->errors), SL_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONF_TEST(an_empty_file_is_the_defaults),
		CONF_TEST(every_cut_of_the_sample_is_survived),
		CONF_TEST(an_override_wins_and_needs_no_quotes),
		CONF_TEST(overrides_that_are_wrong_say_why),
		CONF_TEST(peers_are_read_in_order_with_their_defaults),
		CONF_TEST(peers_up_to_256_and_not_one_more),
		CONF_TEST(what_is_printed_loads_back_to_the_same),
		CONF_TEST(the_sample_is_the_defaults_and_the_file_in_conf),
		CONF_TEST(the_manual_is_the_file_in_doc),
		CONF_TEST(help_and_manual_name_every_key),
		CONF_TEST(reload_takes_what_is_live_and_names_all),
		CONF_TEST(a_file_is_loaded_with_its_overrides),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
