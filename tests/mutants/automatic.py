"""What may be done to a unit without thinking: delete a statement, turn a condition round, swap "and" and
"or", shift a comparison, add one to a constant or take one from it.
SPDX-License-Identifier: Apache-2.0
"""
import re

from units import blank

# The layers that are mutated, by what a mistake in them costs.
GROUPS = {
    "pool": ("core/slab.c", "core/part.c", "server/intake.c", "server/window.c"),
    "ingest": ("storage/ingest.c", "storage/ingest_decide.c", "storage/ingest_part.c", "storage/pending.c",
               "storage/water.c"),
    "ack gate": ("storage/ack.c", "storage/verdict.c", "storage/latch.c", "storage/dirsync.c", "storage/store_fs.c",
                 "storage/store_fs_read.c", "storage/store_fs_settle.c", "storage/indexer.c"),
    "upper layer": ("core/ul.c", "core/sm.c", "core/pdu_dec.c", "core/pdu_assoc.c", "core/nego.c", "core/msg.c",
                    "server/assoc.c", "server/assoc_request.c", "server/assoc_step.c"),
    "walker": ("core/elem.c", "core/elem_head.c", "core/elem_tree.c", "core/cmd.c", "core/p10.c"),
    "recovery": ("storage/recover.c", "storage/leftover.c", "storage/rewalk.c", "storage/trash.c"),
}

_OPERATOR = re.compile(r"<<=?|>>=?|->|<=|>=|==|!=|&&|\|\||<|>")
_INSTEAD = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}
_NUMBER = re.compile(r"(?<![\w.])(?<!_C\()(0[xX][0-9a-fA-F]+|\d+)[uUlL]*(?![\w.])")


def group_of(path):
    return next(group for group, paths in GROUPS.items() if path in paths)


def flat(text):
    """On one line, without comments."""
    return " ".join(blank(text, comments_only=True).split())


def _is_single(code):
    """Whether it is one comparison or one operand: turned round it is its operator swapped."""
    return len([op for op in _OPERATOR.findall(code) if op in _INSTEAD]) <= 1


def _changes(code):
    """(begin, end, text in its place) of each small change."""
    for match in _OPERATOR.finditer(code):
        if match.group(0) in _INSTEAD:
            yield match.start(), match.end(), _INSTEAD[match.group(0)]
    if "sl_fail(" in code:
        return  # its numbers are errno, for a message
    for match in _NUMBER.finditer(code):
        yield match.start(), match.end(), f"({match.group(0)} + 1)"
        if int(re.sub(r"[uUlL]", "", match.group(0)), 0) > 0:
            yield match.start(), match.end(), f"({match.group(0)} - 1)"


def variants(kind, text):
    """What may stand in place of a unit's text, each on one line; "" = nothing."""
    code = blank(text)
    found = []
    if kind == "statement" and not re.match(r"\(void\)|sl_fail|sl_log", code):
        found.append("")
    is_truth = kind == "condition" or (kind == "value" and any(
        op in _INSTEAD for op in _OPERATOR.findall(code)) and not re.search(r"\?|\)\s*\{", code))
    if is_truth and not re.fullmatch(r"true|false|1", code.strip()):
        found.append(f"!({flat(text)})")
    for begin, end, instead in _changes(code):
        if is_truth and _is_single(code) and instead in ("==", "!="):
            continue  # the same as turned round
        found.append(flat(text[:begin] + instead + text[end:]))
    return list(dict.fromkeys(found))
