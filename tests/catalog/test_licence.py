"""Licence texts as they stand in real media tables, and what they must mean."""

import pytest

from catalog.licence import licence, may_redistribute


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://creativecommons.org/licenses/by-nc/4.0/", ("CC-BY-NC-4.0", "nc")),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", ("CC-BY-4.0", "open")),
        ("http://creativecommons.org/publicdomain/zero/1.0/", ("CC0-1.0", "open")),
        ("https://creativecommons.org/publicdomain/mark/1.0/", (None, "open")),
        ("http://creativecommons.org/licenses/publicdomain/", ("CC-PDDC", "open")),
        ("http://creativecommons.org/licenses/by-nc-nd/2.5/", ("CC-BY-NC-ND-2.5", "nd")),
        ("https://creativecommons.org/licenses/by-sa/3.0/de/", ("CC-BY-SA-3.0-DE", "open")),
        ("https://creativecommons.org/licenses/by/3.0/xx/", (None, "open")),
        ("https://creativecommons.org/licenses/by/9.9/", (None, "unknown")),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", ("CC-BY-NC-ND-1.0", "nd")),
        ("CC-BY-NC-SA", (None, "nc")),
        ("CC_BY_4_0", ("CC-BY-4.0", "open")),
        ("CC0_1_0", ("CC0-1.0", "open")),
        ("CC BY 2.0", ("CC-BY-2.0", "open")),
        ("CC BY", (None, "open")),
        ("Creative Commons Attribution-Share Alike 4.0 International", ("CC-BY-SA-4.0", "open")),
        ("Creative Commons Attribution-NonCommercial 3.0 Unported", ("CC-BY-NC-3.0", "nc")),
        ("Creative Commons CC0 1.0 Universal Public Domain Dedication", ("CC0-1.0", "open")),
        ("(c) Field Museum of Natural History - CC BY-NC 4.0", ("CC-BY-NC-4.0", "nc")),
        ("Attribution-NoDerivs 2.0", ("CC-BY-ND-2.0", "nd")),
        ("Public Domain", (None, "open")),
        ("© All rights reserved", (None, "reserved")),
        ("All rights reserved, CC BY on request", (None, "reserved")),
        ("Copyright Borror Lab of Bioacoustics 2018", (None, "reserved")),
        ("not licensed under CC BY 4.0", (None, "unknown")),
        ("J.A. Cooper", (None, "unknown")),
        ("??", (None, "unknown")),
        ("", (None, "unknown")),
        (None, (None, "unknown")),
        ("http://creativecommons.org/licenses/sampling/1.0/", (None, "unknown")),
    ],
)
def test_a_licence_text_means_what_a_lawyer_would_say(text, expected):
    spdx, status = licence(text)
    assert (spdx, status) == expected


@pytest.mark.parametrize(
    ("text", "allow_nc", "expected"),
    [
        ("CC BY 4.0", False, True),
        ("CC BY-NC 4.0", False, False),
        ("CC BY-NC 4.0", True, True),
        ("CC BY-NC-ND 4.0", True, False),
        ("GNU Free Documentation License 1.2", True, False),
        ("All rights reserved", True, False),
        (None, True, False),
    ],
)
def test_only_open_licences_leave_the_house(text, allow_nc, expected):
    assert may_redistribute(*licence(text), text, allow_nc) is expected
