/* Numbers with units, addresses and networks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/unit.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Larger binary units last: the texts below take the last that divides. */
static const struct unit size_units[] = {{"B", 1}, {"kB", 1000}, {"KB", 1000}, {"MB", 1000000},
	{"GB", 1000000000}, {"TB", 1000000000000}, {"KiB", SL_KIB}, {"MiB", SL_MIB},
	{"GiB", SL_GIB}, {"TiB", SL_TIB}, {"PiB", SL_PIB}};
static const struct unit time_units[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};

/* Digits into *v; returns what follows them, or NULL when there is none or they do not fit. */
static const char *digits(const char *p, uint64_t *v)
{
	if (*p < '0' || *p > '9')
		return NULL;
	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		if (!sl_mul_ok(*v, 10, v) || !sl_add_ok(*v, (uint64_t)(*p - '0'), v))
			return NULL;
	return p;
}

static bool with_unit(
	const char *text, const struct unit *units, size_t units_n, bool *is_bare, uint64_t *v)
{
	uint64_t n = 0;
	const char *p = digits(text, &n);
	if (p == NULL)
		return false;
	p += strspn(p, " ");
	*is_bare = *p == '\0';
	if (*is_bare) {
		*v = n;
		return true;
	}
	for (size_t i = 0; i < units_n; i++)
		if (strcmp(p, units[i].name) == 0)
			return sl_mul_ok(n, units[i].factor, v);
	return false;
}

bool sl_unit_size(const char *text, uint64_t *bytes)
{
	bool is_bare = false;
	return with_unit(text, size_units, SL_ARRAY_N(size_units), &is_bare, bytes);
}

bool sl_unit_time(const char *text, uint64_t *ms)
{
	bool is_bare = false;
	return with_unit(text, time_units, SL_ARRAY_N(time_units), &is_bare, ms) &&
	       (!is_bare || *ms == 0);
}

bool sl_unit_mark(const char *text, struct sl_conf_mark *mark)
{
	*mark = (struct sl_conf_mark){.is_free_bytes = strncmp(text, "free ", 5) == 0};
	if (mark->is_free_bytes) {
		text += 5;
		return sl_unit_size(text + strspn(text, " "), &mark->free_bytes);
	}
	uint64_t whole = 0, fraction = 0;
	const char *p = digits(text, &whole);
	if (p != NULL && *p == '.') {
		const char *first = p + 1;
		p = digits(first, &fraction);
		if (p == NULL || p - first > 2)
			return false;
		if (p - first == 1)
			fraction *= 10;
	}
	if (p == NULL || strcmp(p, "%") != 0 || whole > 100 || whole * 100 + fraction > 10000)
		return false;
	mark->hundredths = (uint32_t)(whole * 100 + fraction);
	return true;
}

bool sl_unit_addr(const char *text, bool *is_loopback)
{
	uint8_t addr[16];
	bool is_v4 = inet_pton(AF_INET, text, addr) == 1;
	if (!is_v4 && inet_pton(AF_INET6, text, addr) != 1)
		return false;
	static const uint8_t v6_loopback[16] = {[15] = 1};
	if (is_loopback != NULL)
		*is_loopback = is_v4 ? addr[0] == 127 : memcmp(addr, v6_loopback, 16) == 0;
	return true;
}

/* True when every bit after the first `prefix_len` is 0. */
static bool host_bits_clear(const uint8_t *addr, size_t bits, size_t prefix_len)
{
	for (size_t i = prefix_len; i < bits; i++)
		if ((addr[i / 8] >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

bool sl_unit_net(const char *text, struct sl_conf_net *net, const char **why)
{
	char addr[SL_CONF_ADDR_MAX];
	size_t len = strcspn(text, "/");
	memset(net, 0, sizeof(*net));
	*why = "is no IPv4 or IPv6 network";
	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	net->is_v6 = strchr(addr, ':') != NULL;
	if (inet_pton(net->is_v6 ? AF_INET6 : AF_INET, addr, net->addr) != 1)
		return false;
	uint64_t bits = net->is_v6 ? 128 : 32, prefix_len = bits;
	if (text[len] == '/') {
		const char *end = digits(text + len + 1, &prefix_len);
		*why = "has a prefix length that is too long";
		if (end == NULL || *end != '\0' || prefix_len > bits)
			return false;
	}
	net->prefix_len = (uint8_t)prefix_len;
	*why = "has bits set after its prefix";
	return host_bits_clear(net->addr, bits, prefix_len);
}

void sl_unit_size_text(uint64_t bytes, char out[SL_UNIT_TEXT_MAX])
{
	static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t i = 0;
	for (; i + 1 < SL_ARRAY_N(names) && bytes != 0 && bytes % 1024 == 0; i++)
		bytes /= 1024;
	snprintf(out, SL_UNIT_TEXT_MAX, "%" PRIu64 "%s", bytes, names[i]);
}

void sl_unit_time_text(uint64_t ms, char out[SL_UNIT_TEXT_MAX])
{
	size_t i = SL_ARRAY_N(time_units) - 1;
	while (i > 0 && (ms == 0 || ms % time_units[i].factor != 0))
		i--;
	if (ms == 0)
		i = 1; /* "0s" */
	snprintf(out, SL_UNIT_TEXT_MAX, "%" PRIu64 "%s", ms / time_units[i].factor,
		time_units[i].name);
}

void sl_unit_mark_text(const struct sl_conf_mark *mark, char out[SL_UNIT_TEXT_MAX])
{
	if (mark->is_free_bytes) {
		char size[SL_UNIT_TEXT_MAX];
		sl_unit_size_text(mark->free_bytes, size);
		snprintf(out, SL_UNIT_TEXT_MAX, "free %.26s", size);
		return;
	}
	uint32_t whole = mark->hundredths / 100, fraction = mark->hundredths % 100;
	if (fraction == 0)
		snprintf(out, SL_UNIT_TEXT_MAX, "%" PRIu32 "%%", whole);
	else
		snprintf(out, SL_UNIT_TEXT_MAX, "%" PRIu32 ".%02" PRIu32 "%%", whole, fraction);
}

void sl_unit_net_text(const struct sl_conf_net *net, char out[SL_UNIT_NET_MAX])
{
	char addr[SL_CONF_ADDR_MAX] = "";
	inet_ntop(net->is_v6 ? AF_INET6 : AF_INET, net->addr, addr, sizeof(addr));
	snprintf(out, SL_UNIT_NET_MAX, "%s/%u", addr, (unsigned)net->prefix_len);
}
