"""A guide that does not hold has to fail, and say where. Each case is a guide that does not."""

import argparse
import pathlib
import sys
import tempfile
import unittest

import main

GIVEN = argparse.Namespace(airlock=pathlib.Path(sys.executable), seconds=10, strict=True)

SERVER = """bash -c "trap 'exit 0' INT; echo ready; while :; do sleep 0.1; done\""""


def read(text, **given):
    """Whether a guide with this text holds, and what is said of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "guide.md")
        path.write_text(text)
        good, count, notes = main.run(path, argparse.Namespace(**{**vars(GIVEN), **given}))
    return good, count, "\n".join(notes)


def sh(text, before="Do this:"):
    return f"{before}\n\n```sh\n{text}\n```\n"


class Good(unittest.TestCase):
    def holds(self, text):
        good, count, said = read(text)
        self.assertTrue(good, said)
        return count

    def test_a_session_carries_over(self):
        self.holds(sh("mkdir a; cd a; export B=c") + sh('test "$B" = c && test "${PWD##*/}" = a'))

    def test_files_are_written_where_the_reader_is(self):
        count = self.holds(sh("mkdir a; cd a") + "`b/c.json`\n\n```json\n{}\n```\n" + sh("cat ../a/b/c.json"))
        self.assertEqual((count.run, count.write), (2, 1))

    def test_a_script_is_written_and_not_run(self):
        self.holds("`a.sh`\n\n```sh\nexit 1\n```\n" + sh("! sh a.sh"))

    def test_files_are_changed(self):
        change = "In `f`, change:\n\n```diff\n one\n-two\n+three\n```\n"
        self.holds(sh("printf 'one\\ntwo\\n' > f") + change + sh("grep -c . f; grep three f"))

    def test_outputs_are_compared_but_for_white_space(self):
        self.holds(sh("echo a; echo 'b 17 c'") + "It prints:\n\n```text\na b\n…\nc\n```\n")

    def test_what_serves_goes_on_in_its_terminal(self):
        text = sh(SERVER)
        text += sh("echo hello", "In another terminal:")
        self.holds(text + sh("echo back", "Stop it with Ctrl-C, and in the first terminal:"))

    def test_what_serves_is_heard(self):
        serves = """bash -c "trap 'exit 0' INT; while :; do sleep 0.1; echo ready; done\""""
        self.holds(sh(serves) + sh("true", "When it says `ready`, in another terminal:"))

    def test_what_ctrl_c_ends_has_ended_well(self):
        self.holds(sh("echo ready; sleep 60") + sh("true", "In another terminal:"))

    def test_a_new_terminal_knows_nothing(self):
        text = sh(f"export A=b; {SERVER}")
        self.holds(text + sh('test -z "${A:-}"', "In another terminal:"))

    def test_a_command_may_have_to_fail(self):
        self.holds(sh("true") + "<!-- test: ends with 3 -->\n```sh\n(exit 3)\n```\n" + sh("true"))

    def test_what_is_not_run_is_counted(self):
        good, count, said = read(sh("true") + "<!-- test: not run, because it costs money -->\n```sh\nfalse\n```\n")
        self.assertEqual((good, count.skip), (True, 1))
        self.assertIn("not run, because it costs money", said)

    def test_placeholders_are_replaced_and_told(self):
        good, _, said = read("<!-- test: replace yours with mine -->\n" + sh("test yours = mine"))
        self.assertTrue(good)
        self.assertIn("`yours` is `mine`", said)

    def test_a_key_is_pasted(self):
        self.holds(sh("echo sk-airlock-aaaabbbbccccddddeeee") + sh("test sk-airlock-… = sk-airlock-aaaabbbbccccddddeeee"))

    def test_each_guide_has_an_address_of_its_own(self):
        self.holds(sh('test "$AIRLOCK_LISTEN" = 127.0.0.1:8000; ! echo 127.0.0.1 | grep "^127[.]0[.]0"'))

    def test_parts_answer(self):
        part = '<!-- test: with page 8002 {"/a": {"b": 1}} -->\n'
        self.holds(part + sh("curl -sS http://127.0.0.1:8002/a") + 'It answers:\n\n```json\n{"b":1}\n```\n')


class Broken(unittest.TestCase):
    def fails(self, text, said, **given):
        good, _, notes = read(text, **given)
        self.assertFalse(good, "it holds, and should not")
        self.assertIn(said, notes)

    def test_a_command_fails(self):
        self.fails("# A guide\n\n" + sh("true\nls /nowhere\ntrue"), "guide.md:7: it ended with 2\n    ls /nowhere")

    def test_its_output_is_shown(self):
        self.fails(sh("echo some words; false"), "| some words")

    def test_a_command_in_the_middle_of_a_pipe_fails(self):
        self.fails(sh("false | true"), "it ended with 1")

    def test_a_variable_is_not_set(self):
        self.fails(sh(f"export A=b\n{SERVER}") + sh("echo $A", "In another terminal:"), "A: unbound")

    def test_the_output_is_another(self):
        self.fails(sh("echo one") + "It prints:\n\n```text\ntwo\n```\n", "have printed something else")

    def test_a_command_does_not_fail_that_should(self):
        self.fails("<!-- test: ends with 1 -->\n" + sh("true", ""), "it should end with 1, and ended with 0")

    def test_a_command_does_not_end(self):
        self.fails(sh("sleep 60"), "did not end within 1 s", seconds=1)

    def test_a_server_ends(self):
        self.fails(sh("echo ready too soon >&2; false") + sh("true", "In another terminal:"), "guide.md:4")

    def test_a_server_is_not_ready(self):
        self.fails(sh("sleep 60") + sh("true", "In another terminal:"), "did not print `ready` in time", seconds=1)

    def test_a_server_does_not_say_it(self):
        text = sh(SERVER) + sh("true", "When it says `more`, in another terminal:")
        self.fails(text, "did not say `more` again", seconds=1)
        self.fails(sh("true", "When it says `more`:"), "nothing is running")

    def test_a_server_ends_badly(self):
        text = sh(SERVER.replace("exit 0", "exit 7")) + sh("true", "In another terminal:")
        self.fails(text, "it ended with 7 after Ctrl-C")

    def test_a_file_to_change_is_another(self):
        change = "In `f`:\n\n```diff\n-two\n+three\n```\n"
        self.fails(sh("echo one > f") + change, "f has these lines 0 times")
        self.fails(sh("true") + change, "there is no file f")

    def test_there_is_no_command(self):
        self.fails("# A guide\n\nWords.\n", "there is no command")
        self.fails("<!-- test: not run, because -->\n\n```sh\ntrue\n```\n", "nobody knows")
        self.fails("<!-- test: not run, because of this -->\n\n```sh\ntrue\n```\n", "there is no command")

    def test_a_block_is_forgotten(self):
        self.fails(sh("true") + "Such as:\n\n```json\n{}\n```\n", "guide.md:9: this block is not run")
        self.fails(sh("true") + "\n    indented\n", "an indented block is not run")
        self.fails(sh("true") + "\n```text\nno end\n", "has no end")

    def test_a_comment_is_misspelt(self):
        self.fails(sh("true") + "<!-- test: nor run, because -->\n" + sh("true"), "nobody knows what `nor run")
        self.fails(sh("true") + "<!-- test: ends with 1 -->\n", "no block follows")
        self.fails(sh("true") + "<!-- tests: ends with 1 -->\n", "one line")
        self.fails("<!-- test: with nothing 80 -->\n" + sh("true"), "there is no part `nothing`")

    def test_a_program_is_missing(self):
        needs = "<!-- test: needs airlock-nonsense -->\n" + sh("true")
        self.fails(needs, "SKIPPED")
        good, count, said = read(needs, strict=False)
        self.assertEqual((good, count.run), (True, 0))
        self.assertIn("airlock-nonsense is not installed", said)


if __name__ == "__main__":
    unittest.main()
