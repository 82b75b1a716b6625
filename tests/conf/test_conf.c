/* Whole files: errors with their places, overrides, cross-checks, printing and reading back.
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

static void all_errors_come_at_once_each_with_its_place(void **state)
{
	struct conf_fixture *f = *state;
	static const char text[] = "stray = 1\n"
				   "[dicom]\n"
				   "prot = 104\n"
				   "  ae_title = \"SEVENTEEN LETTERS\"\n"
				   "bind = [\"127.0.0.1\",\n"
				   "        \"localhost\"]\n"
				   "artim_timeout = 30\n"
				   "max_pdu = \"2MiB\"\n"
				   "dicom.port = 1\n"
				   "[storag]\n"
				   "root = 1\n"
				   "[storage]\n"
				   "duplicates = \"newest\"\n"
				   "policy = \"evict\"\n"
				   "quota = \"20 apples\"\n"
				   "port = 4\n"
				   "[tls]\n"
				   "cert = \"x\"\n"
				   "[peer]\n"
				   "ae_title = \"X\"\n"
				   "[pool]\n"
				   "buffer_size = 100000\n"
				   "[http]\n"
				   "port = 80\n";
	assert_int_equal(conf_parse(f, text), SL_E_CONFIG);
	static const char *const want[] = {
		"f:1:1: unknown key stray",
		"f:3:1: unknown key dicom.prot; did you mean dicom.port?",
		"f:4:14: dicom.ae_title: \"SEVENTEEN LETTERS\" is not allowed; allowed: an AE "
		"title of 1 to "
		"16 characters, no backslash",
		"f:6:9: dicom.bind: \"localhost\" is not allowed; allowed: a list of up to 8, each "
		"an IPv4 "
		"or IPv6 address",
		"f:7:17: dicom.artim_timeout: 30 needs a unit, as in \"30s\"; allowed: 100ms to 1h",
		"f:8:11: dicom.max_pdu: \"2MiB\" is out of range; allowed: 4KiB to 1MiB",
		"f:9:1: unknown group [dicom.dicom]",
		"f:10:2: unknown group [storag]; did you mean [storage]?",
		"f:13:14: storage.duplicates: \"newest\" is not allowed; allowed: \"latest\", "
		"\"first\", \"refuse\"",
		"f:15:9: storage.quota: \"20 apples\" is no size (bytes, KiB, MiB, GiB, TiB); "
		"allowed: 0 to "
		"1PiB",
		"f:16:1: unknown key storage.port; did you mean dicom.port?",
		"f:17:2: [tls]: TLS is not built yet; remove the group, or put a TLS proxy before "
		"the port",
		"f:19:2: write [[peer]], with two brackets: there may be several",
		"f:22:15: pool.buffer_size: 100000 is no multiple of 4KiB, the size of a page",
		"f:24:8: http.port: the HTTP service is not built yet; write 0",
	};
	for (size_t i = 0; i < SL_ARRAY_N(want); i++)
		conf_assert_error(f, i, want[i]);
	assert_int_equal(f->errors.n, SL_ARRAY_N(want));
}

static void broken_toml_is_one_error_with_its_place(void **state)
{
	struct conf_fixture *f = *state;
	static const struct {
		const char *text, *place;
	} rows[] = {{"[dicom\n", "f:1:7: "}, {"[dicom]\nport = \n", "f:2:8: "},
		{"a = \"x\n", "f:1:"}, {"[dicom]\nport = 1\nport = 2\n", "f:3:"},
		{"[dicom]\n[dicom]\n", "f:2:"}, {"\xff\xfe", "f:1:"},
		{"a = 0000000000000000000000000x", "f:1:"}};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		assert_int_equal(conf_parse(f, rows[i].text), SL_E_CONFIG);
		assert_int_equal(f->errors.n, 1);
		assert_memory_equal(f->errors.items[0].text, rows[i].place, strlen(rows[i].place));
	}
}

static void characters_beyond_ascii_belong_in_quotes(void **state)
{
	struct conf_fixture *f = *state;
	static const struct {
		const char *text, *error; /* NULL: good */
	} rows[] = {
		{"\xef\xbb\xbf# \xc3\xa4\n[storage] # \xc3\xa4\nroot = \"\xc3\xa4\"\n", NULL},
		{"[storage]\nroot = '\xc3\xa4\\'\ngroup = '''a-b'''\n", NULL},
		{"[storage]\nroot = \"\"\"\\\n   \\\"\xc3\xa4\"\"\"\"\n", NULL},
		{"[storage]\n\xc3\xa4 = 1\n", "f:2:1: a character that belongs in quotes"},
		{"[storage]\nroot = \"\\\"\" \xc3\xa4\n",
			"f:2:13: a character that belongs in quotes"},
		{"a = \"\"\"\n\"\"\"\"\n\xd9\xab", "f:3:1: a character that belongs in quotes"},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		assert_int_equal(
			conf_parse(f, rows[i].text), rows[i].error == NULL ? SL_OK : SL_E_CONFIG);
		if (rows[i].error != NULL)
			conf_assert_error(f, 0, rows[i].error);
	}
}

static void more_errors_than_places_are_counted(void **state)
{
	struct conf_fixture *f = *state;
	char text[8192] = "";
	size_t len = 0;
	for (int i = 0; i < SL_CONF_ERRORS_MAX + 10; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "key_%d = 1\n", i);
	assert_int_equal(conf_parse(f, text), SL_E_CONFIG);
	assert_int_equal(f->errors.n, SL_CONF_ERRORS_MAX);
	assert_int_equal(f->errors.more_n, 10);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	struct conf_fixture *f = *state;
	assert_int_equal(conf_parse(f, "\"\\u001b[2J\" = 1\n[log]\nlevel = \"\\u001b[2J\\n\"\n"),
		SL_E_CONFIG);
	assert_int_equal(f->errors.n, 2);
	for (size_t i = 0; i < f->errors.n; i++)
		for (const char *p = f->errors.items[i].text; *p != '\0'; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* xorshift: the same bytes in every run. */
static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void garbage_is_refused_and_survived(void **state)
{
	struct conf_fixture *f = *state;
	static char text[SL_CONF_FILE_MAX + 2];
	uint32_t seed = 1;
	for (int round = 0; round < 200; round++) {
		size_t n = next_random(&seed) % 4000;
		for (size_t i = 0; i < n; i++)
			text[i] = round % 2 == 0 ? (char)next_random(&seed)
						 : " =[]\".\n#a1"[next_random(&seed) % 10];
		memset(&f->errors, 0, sizeof(f->errors));
		enum sl_status st = sl_conf_parse(&f->conf, "f", text, n, &f->errors);
		assert_int_equal(st == SL_OK, f->errors.n == 0);
	}
	memset(text, '[', 4000); /* deep arrays */
	memcpy(text, "a = ", 4);
	text[4000] = '\0';
	assert_int_equal(conf_parse(f, text), SL_E_CONFIG);
	for (size_t i = 0; i < 2000; i++) /* a deep dotted key */
		memcpy(text + 2 * i, i + 1 < 2000 ? "a." : "a ", 2);
	memcpy(text + 4000, "= 1\n", 5);
	assert_int_equal(conf_parse(f, text), SL_E_CONFIG);
	memset(text, 'a', sizeof(text)); /* a line, then a file, that is too long */
	memset(&f->errors, 0, sizeof(f->errors));
	assert_int_equal(sl_conf_parse(&f->conf, "f", text, 5000, &f->errors), SL_E_CONFIG);
	conf_assert_error(f, 0, "f:1:4097: a line is longer than 4096 bytes");
	memset(&f->errors, 0, sizeof(f->errors));
	assert_int_equal(
		sl_conf_parse(&f->conf, "f", text, SL_CONF_FILE_MAX + 1, &f->errors), SL_E_CONFIG);
	conf_assert_error(f, 0, "f: is longer than 1048576 bytes");
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

#define BEYOND                                                                                     \
	" can be reached from other hosts, and nobody is listed who may come; add a [[peer]] for " \
	"each, "                                                                                   \
	"or write under [dicom]: accept_unknown_peers = true"

static void cross_checks_name_the_key_and_the_way_out(void **state)
{
	struct conf_fixture *f = *state;
	static const struct {
		const char *text, *error; /* NULL: good */
	} rows[] = {
		{"[dicom]\nbind = [\"::1\", \"127.0.0.2\"]\n", NULL},
		{"[dicom]\nbind = [\"::1\", \"0.0.0.0\"]\n",
			"f:2:8: dicom.bind: \"0.0.0.0\"" BEYOND},
		{"[dicom]\nbind = [\"::\"]\n", "f:2:8: dicom.bind: \"::\"" BEYOND},
		{"[dicom]\nbind = [\"::\"]\naccept_unknown_peers = true\n", NULL},
		{"[dicom]\nbind = [\"::\"]\n[[peer]]\nae_title = \"A\"\n", NULL},
		{"[dicom]\nbind = []\n", "f:2:8: dicom.bind: is empty; write [\"127.0.0.1\"] or "
					 "the address of a network card"},
		{"[dicom]\nbind = [\"::1\", \"::1\"]\n",
			"f:2:8: dicom.bind: \"::1\" is listed twice"},
		{"[dicom]\nmax_pdu = 16385\n", "f:2:11: dicom.max_pdu: must be even, as the "
					       "fragments in it are (PS3.8 annex E)"},
		{"[dicom]\nrecv_area = 9000\n",
			"f:2:13: dicom.recv_area: 9000 is no multiple of 4KiB, the size of a page"},
		{"[storage]\nlow_watermark = \"85%\"\n", "f:2:17: storage.low_watermark: \"85%\" "
							 "is not below high_watermark \"85%\""},
		{"[storage]\nhigh_watermark = \"96%\"\n", "f:2:18: storage.high_watermark: \"96%\" "
							  "is not below full_watermark \"95%\""},
		{"[storage]\nlow_watermark = \"free 3GiB\"\nhigh_watermark = \"free 2GiB\"\n"
		 "full_watermark = \"free 1GiB\"\n",
			NULL},
		{"[storage]\nlow_watermark = \"free 2GiB\"\nhigh_watermark = \"free 2GiB\"\n"
		 "full_watermark = \"free 1GiB\"\n",
			"f:2:17: storage.low_watermark: \"free 2GiB\" is not below high_watermark "
			"\"free 2GiB\""},
		{"[storage]\nfull_watermark = \"free 20GiB\"\n", NULL},
		{"[storage]\nroot = \"\"\n", "f:2:8: storage.root: is empty; write the folder that "
					     "shall hold the objects"},
		{"[index]\nmap_size = 16777217\n", "f:2:12: index.map_size: 16777217 is no "
						   "multiple of 4KiB, the size of a page"},
		{"[[peer]]\n", "f:1:1: [[peer]] has no ae_title"},
		{"[[peer]]\nae_title = \"A\"\nport = 104\n",
			"f:1:1: [[peer]] A has a port but no host"},
		{"[[peer]]\nae_title = \"A\"\nhost = \"h\"\n",
			"f:1:1: [[peer]] A has a host but no port"},
		{"[[peer]]\nae_title = \"A\"\n\n[[peer]]\nae_title = \"A \"\n",
			"f:4:1: [[peer]] A is listed in line 1 already; give that one all "
			"addresses in its from"},
	};
	for (size_t i = 0; i < SL_ARRAY_N(rows); i++) {
		enum sl_status st = conf_parse(f, rows[i].text);
		assert_int_equal(st, rows[i].error == NULL ? SL_OK : SL_E_CONFIG);
		assert_int_equal(f->errors.n, rows[i].error == NULL ? 0 : 1);
		if (rows[i].error != NULL)
			conf_assert_error(f, 0, rows[i].error);
	}
}

static void cross_checks_pass_over_refused_keys(void **state)
{
	struct conf_fixture *f = *state;
	assert_int_equal(conf_parse(f, "[storage]\nhigh_watermark = 99\n[dicom]\nbind = [1]\n"),
		SL_E_CONFIG);
	assert_int_equal(f->errors.n, 2);
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
		CONF_TEST(all_errors_come_at_once_each_with_its_place),
		CONF_TEST(broken_toml_is_one_error_with_its_place),
		CONF_TEST(characters_beyond_ascii_belong_in_quotes),
		CONF_TEST(more_errors_than_places_are_counted),
		CONF_TEST(control_characters_do_not_reach_the_terminal),
		CONF_TEST(garbage_is_refused_and_survived),
		CONF_TEST(every_cut_of_the_sample_is_survived),
		CONF_TEST(an_override_wins_and_needs_no_quotes),
		CONF_TEST(overrides_that_are_wrong_say_why),
		CONF_TEST(cross_checks_name_the_key_and_the_way_out),
		CONF_TEST(cross_checks_pass_over_refused_keys),
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
