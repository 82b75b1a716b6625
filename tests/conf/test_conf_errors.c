/* Files that are wrong: every error at once, each with its place and the way out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/conf.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONF_TEST(all_errors_come_at_once_each_with_its_place),
		CONF_TEST(broken_toml_is_one_error_with_its_place),
		CONF_TEST(characters_beyond_ascii_belong_in_quotes),
		CONF_TEST(more_errors_than_places_are_counted),
		CONF_TEST(control_characters_do_not_reach_the_terminal),
		CONF_TEST(garbage_is_refused_and_survived),
		CONF_TEST(cross_checks_name_the_key_and_the_way_out),
		CONF_TEST(cross_checks_pass_over_refused_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
