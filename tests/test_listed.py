"""Entries of a kubeconfig are put in and taken out, and every other byte stays."""

import random
import re

import pytest
import yaml

from reconciler.verbs import listed

ENTRY = {"name": "n", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "Q" * 200}}
BLOCK = """\
# of mine
apiVersion: v1
clusters:   # two of them
- name: a   # first
  cluster:
    server: 'https://a'
# between
- cluster: {server: "https://b"}
  name: b
# after
contexts: []
current-context: a
users:
  - name: u
    user:
      token: |
        x
"""
TEXTS = {
    "block": BLOCK,
    "indented": re.sub(r"^([- ].*)", r"    \1", BLOCK, flags=re.MULTILINE),
    "windows": BLOCK.replace("\n", "\r\n"),
    "no newline at the end": BLOCK.removesuffix("\n") + "x",
    "kubectl's json": '{\n  "clusters": [\n    {"name": "a"},\n    {"name": "b"}\n  ],\n  "users": []\n}\n',
    "no section": "kind: Config\nusers:\n- name: u\n",
    "null section": "clusters:\nusers: ~ # none\n",
    "null section, last": "users: []\nclusters:",
    "empty": "",
    "only a comment": "# nothing yet\n",
    "empty mapping": "{}",
    "dash alone": "clusters:\n-\n  name: a\n- # b-c\n  name: b\n",
    "anchors": "clusters:\n- &a\n  name: a\n  cluster: &c {server: x}\n- name: b\n  cluster: *c\n",
    "marker": "---\nclusters:\n- name: a\n...\n",
}  # fmt: skip
SECTIONS = ("clusters", "contexts", "users")


def meaning(text: str) -> dict[str, object]:
    found = yaml.safe_load(text) or {}
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("section", SECTIONS)
def test_in_and_out_again(text: str, section: str) -> None:
    longer = listed.put(text, section, ENTRY)
    assert meaning(longer)[section][-1] == ENTRY  # type: ignore[index]
    assert listed.put(longer, section, ENTRY) == longer
    assert meaning(listed.drop(longer, section, "n")) == meaning(text)


@pytest.mark.parametrize("name", ["block", "indented", "windows", "kubectl's json"])
def test_not_a_byte_of_the_rest_changes(name: str) -> None:
    text = TEXTS[name]
    longer = listed.put(text, "clusters", ENTRY)
    assert listed.drop(longer, "clusters", "n") == text
    kept = iter(longer)
    assert all(letter in kept for letter in text)  # what was there, in its order


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("name", ["a", "b", "u"])
def test_others_can_be_taken_out(text: str, name: str) -> None:
    for section in SECTIONS:
        wanted = meaning(text)
        if isinstance(entries := wanted.get(section), list):
            wanted[section] = [one for one in entries if one["name"] != name]
        assert meaning(listed.drop(text, section, name)) == {key: value for key, value in wanted.items() if value}


def test_comments_stay() -> None:
    text = listed.drop(BLOCK, "clusters", "b")
    assert [line for line in BLOCK.splitlines() if "#" in line] == [line for line in text.splitlines() if "#" in line]


def test_many_changes_in_any_order() -> None:
    for seed in range(12):
        chance = random.Random(seed)
        text = chance.choice(list(TEXTS.values()))
        for _ in range(8):
            section, name = chance.choice(SECTIONS), chance.choice("abun")
            before = meaning(text).get(section) or []
            assert isinstance(before, list)
            kept = [one for one in before if one["name"] != name]
            if chance.random() < 0.5:
                text = listed.drop(text, section, name)
                assert (meaning(text).get(section) or []) == kept
            else:
                entry = {"name": name, "cluster": {"n": chance.randrange(3)}}
                text = listed.put(text, section, entry)
                assert sorted(map(str, meaning(text)[section])) == sorted(map(str, [*kept, entry]))  # type: ignore[call-overload]


@pytest.mark.parametrize("text", ["- a\n", "x", "a: [", "clusters: {}\n", "a: 1\n--- \nb: 2\n", "\tx: 1"])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        listed.put(text, "clusters", ENTRY)
