/* toml++ behind a C list. Nothing of C++ leaves this file: no exception, no type.
 *
 * The library stops at the first syntax error; types, ranges and names are ours to check, so that the
 * user sees all of those at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf/toml.h"

/* toml++ 3.3 asserts what a broken file can break (a key that begins with a dot), and where NDEBUG is
 * set it promises the same to the compiler. Here, in every build, it is one more syntax error. */
struct broken_assertion {
};
static constexpr void toml_assert(bool holds)
{
	if (!holds)
		throw broken_assertion{};
}
#undef NDEBUG
#define TOML_ASSERT(expr)      toml_assert(static_cast<bool>(expr))
#define TOML_HEADER_ONLY       1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <string>
#include <unistd.h>
#include <vector>

struct sl_toml {
	std::vector<sl_toml_entry> entries;
	std::deque<std::string> texts;                     // deque: addresses stay
	std::deque<std::vector<sl_toml_value>> item_lists; // the same
};

namespace
{

struct too_deep {
	toml::source_position at;
};

void place(uint32_t &line, uint32_t &column, const toml::source_region &at)
{
	line = at.begin.line;
	column = at.begin.column;
}

sl_toml_value scalar(sl_toml &doc, const toml::node &node)
{
	sl_toml_value v{};
	place(v.line, v.column, node.source());
	v.type = SL_TOML_OTHER;
	if (const auto *s = node.as_string()) {
		doc.texts.push_back(s->get());
		v.type = SL_TOML_STRING;
		v.text = doc.texts.back().c_str();
		v.len = doc.texts.back().size();
	} else if (const auto *i = node.as_integer()) {
		v.type = SL_TOML_INT;
		v.integer = i->get();
	} else if (const auto *f = node.as_floating_point()) {
		v.type = SL_TOML_FLOAT;
		v.real = f->get();
	} else if (const auto *b = node.as_boolean()) {
		v.type = SL_TOML_BOOL;
		v.is_true = b->get();
	}
	return v;
}

sl_toml_value array(sl_toml &doc, const toml::array &nodes)
{
	sl_toml_value v{};
	place(v.line, v.column, nodes.source());
	v.type = SL_TOML_ARRAY;
	std::vector<sl_toml_value> items;
	for (const toml::node &node : nodes)
		items.push_back(scalar(doc, node));
	doc.item_lists.push_back(std::move(items));
	v.items = doc.item_lists.back().data();
	v.items_n = doc.item_lists.back().size();
	return v;
}

std::string dotted(const std::string &prefix, const toml::key &key)
{
	std::string name(key.str());
	bool is_bare = !name.empty();
	for (char c : name)
		is_bare =
			is_bare && (isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-');
	if (!is_bare)
		name = '"' + name + '"';
	return prefix.empty() ? name : prefix + '.' + name;
}

void add(sl_toml &doc, const std::string &key, const toml::source_region &at, size_t table_i,
	const sl_toml_value &value)
{
	sl_toml_entry e{};
	doc.texts.push_back(key);
	e.key = doc.texts.back().c_str();
	place(e.line, e.column, at);
	e.table_i = table_i;
	e.value = value;
	doc.entries.push_back(e);
}

void walk(sl_toml &doc, const toml::table &table, const std::string &prefix, size_t table_i,
	int depth)
{
	if (depth > SL_TOML_DEPTH_MAX)
		throw too_deep{table.source().begin};
	for (const auto &[key, node] : table) {
		const std::string name = dotted(prefix, key);
		const toml::array *elements = node.as_array();
		if (const toml::table *inner = node.as_table()) {
			sl_toml_value v{};
			v.type = SL_TOML_TABLE;
			place(v.line, v.column, inner->source());
			add(doc, name, key.source(), table_i, v);
			walk(doc, *inner, name, table_i, depth + 1);
		} else if (elements != nullptr && !elements->empty() &&
			   elements->is_homogeneous<toml::table>()) {
			for (size_t i = 0; i < elements->size(); i++) {
				const toml::table &element = *elements->get_as<toml::table>(i);
				sl_toml_value v{};
				v.type = SL_TOML_TABLE;
				place(v.line, v.column, element.source());
				add(doc, name, element.source(), i, v);
				walk(doc, element, name, i, depth + 1);
			}
		} else {
			add(doc, name, key.source(), table_i,
				elements != nullptr ? array(doc, *elements) : scalar(doc, node));
		}
	}
}

void fail(sl_toml_error *error, const toml::source_position &at, const char *text)
{
	error->line = at.line;
	error->column = at.column;
	snprintf(error->text, sizeof(error->text), "%s", text);
}

bool breaks(std::string_view text)
{
	try {
		static_cast<void>(toml::parse(text));
	} catch (const broken_assertion &) {
		return true;
	} catch (...) {
	}
	return false;
}

// The line that breaks an assertion, which comes without a place: the parser goes forward only, so the
// shortest text of whole lines that breaks it ends there.
uint32_t broken_line(std::string_view text)
{
	std::vector<size_t> ends; // of each line, one past its newline
	for (size_t i = 0; i < text.size(); i++)
		if (text[i] == '\n' || i + 1 == text.size())
			ends.push_back(i + 1);
	size_t low = 0, high = ends.size(); // breaks with `high` lines, not with `low`
	while (high - low > 1) {
		const size_t middle = (low + high) / 2;
		(breaks(text.substr(0, ends[middle - 1])) ? high : low) = middle;
	}
	return static_cast<uint32_t>(high);
}

// Throws whatever the parser throws.
std::unique_ptr<sl_toml> parse(std::string_view text)
{
	auto doc = std::make_unique<sl_toml>();
	const toml::table root = toml::parse(text);
	walk(*doc, root, "", SL_TOML_NO_TABLE, 0);
	return doc;
}

// toml++ ends the process where memory runs out in what it promises not to throw from. So it is asked for
// before, all of it and more; a configuration that cannot be read again is refused, and the node goes on.
bool has_memory(size_t text_len)
{
	void *volatile probe = malloc((1 << 20) + 64 * text_len);
	free(probe);
	return probe != nullptr;
}

// Where it runs out all the same: a line and the exit status of a configuration that cannot be read.
[[noreturn]] void out_of_memory()
{
	static const char line[] = "sluiced: out of memory while reading the configuration\n";
	ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);
	static_cast<void>(n);
	_exit(2);
}

struct terminating {
	std::terminate_handler before = std::set_terminate(out_of_memory);
	~terminating()
	{
		std::set_terminate(before);
	}
};

} // namespace

sl_toml *sl_toml_parse(const char *text, size_t n, sl_toml_error *error)
{
	memset(error, 0, sizeof(*error));
	const std::string_view bytes(text, n);
	if (!has_memory(n)) {
		fail(error, {1, 1}, "out of memory");
		return nullptr;
	}
	const terminating end;
	try {
		try {
			return parse(bytes).release();
		} catch (const broken_assertion &) {
			fail(error, {broken_line(bytes), 1}, "this line cannot be read as TOML");
		}
	} catch (const toml::parse_error &e) {
		fail(error, e.source().begin, std::string(e.description()).c_str());
	} catch (const too_deep &e) {
		fail(error, e.at, "tables are nested too deep");
	} catch (const std::bad_alloc &) {
		fail(error, {1, 1}, "out of memory");
	} catch (...) {
		fail(error, {1, 1}, "cannot be read as TOML");
	}
	return nullptr;
}

void sl_toml_free(sl_toml *doc)
{
	delete doc;
}

const sl_toml_entry *sl_toml_entries(const sl_toml *doc, size_t *n)
{
	*n = doc->entries.size();
	return doc->entries.data();
}
