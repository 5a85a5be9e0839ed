"""What others wrote cannot move the cursor of whoever reads it."""

import io

from catalog import terminal


def test_characters_that_do_not_print_are_shown_as_escapes_and_the_rest_as_it_is():
    out = io.StringIO()
    terminal.tell("Käfer 甲虫 \x1b[31mred\x07 \u202eturned\r\ttab", to=out)
    assert out.getvalue() == "Käfer 甲虫 \\x1b[31mred\\x07 \\u202eturned\\r\ttab\n"


def test_an_error_goes_to_stderr(capsys):
    terminal.error(ValueError("bad \x1b thing"))
    assert capsys.readouterr().err == "error: bad \\x1b thing\n"
