"""`orderwake templates check` finds what would go wrong, where it was written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jinja2 import DictLoader

from services.cli import cli
from services.dispatcher.content.checking import Finding, check, mails
from services.dispatcher.content.inspecting import Rule
from services.dispatcher.content.library import TEMPLATES, Library
from shared.errors import TemplatesError

TEXT = '[% extends "_base.txt.j2" %]\n[% block subject %]Hello[% endblock %]\n'
PAGE = '[% extends "_base.mjml.j2" %]\n[% block preheader %]Look inside[% endblock %]\n'


def _findings(**files: str) -> list[Finding]:
    """What is wrong with a shop `a` of these files; `mail_mjml` is `a/mail.mjml.j2`."""
    named = {f"a/{name.replace('_', '.')}.j2": text for name, text in files.items()}
    library = Library(DictLoader(named))
    return check(library, mails(library))


def _only(**files: str) -> Finding:
    findings = _findings(**files)
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]


def _lead(body: str) -> str:
    return f"{PAGE}[% block lead %]\n{body}\n[% endblock %]\n"


def test_all_that_ships_is_sound() -> None:
    library = Library.of()
    which = mails(library)
    assert len(which) > 40
    assert [str(finding) for finding in check(library, which)] == []


def test_the_example_for_authors_is_sound() -> None:
    document = (Path(__file__).parents[3] / "docs" / "templates.md").read_text()
    example = document.partition("## Writing one")[2].partition("```jinja\n")[2].partition("```")[0]
    assert "extends" in example
    assert _findings(mail_txt=TEXT, mail_mjml=example) == []


def test_a_mail_that_only_fills_the_base_is_sound() -> None:
    assert _findings(mail_txt=TEXT, mail_mjml=PAGE) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<mj-text>one</mj-text>\n<mj-text>two</mj-txt>", "mj-txt"),
        ("<mj-text>one</mj-text>\n<mj-text>two & three < four</mj-text>", "not well-formed"),
        ("<mj-text>one</mj-text>\n<mj-include path='/etc/hostname' />", "mj-include"),
        ("<mj-text>one</mj-text>\n<mj-text>{{ first_name|shout }}</mj-text>", "shout"),
        ("<mj-text>one</mj-text>\n<mj-text>{% if first_name %}</mj-text>", ""),
    ],
)
def test_an_error_is_told_with_file_and_line(body: str, problem: str) -> None:
    found = _only(mail_txt=TEXT, mail_mjml=_lead(body))
    assert found.rule is Rule.CANNOT_BUILD
    assert problem in found.detail
    if problem:
        assert (found.file, found.line) == ("a/mail.mjml.j2", 5)


def test_an_error_of_the_first_pass_is_told_with_file_and_line() -> None:
    found = _only(mail_txt=TEXT, mail_mjml=f"{PAGE}[% block lead %]\n[% if %]\n[% endblock %]")
    assert (found.rule, found.file, found.line) == (Rule.CANNOT_BUILD, "a/mail.mjml.j2", 4)


def test_a_variable_that_no_message_has_is_found_in_branches_that_no_sample_takes() -> None:
    body = "<mj-text>{% if first_name == 'Zoe' %}\n{{ nickname }}{% endif %}</mj-text>"
    found = _only(mail_txt=TEXT, mail_mjml=_lead(body))
    assert (found.rule, found.file, found.line) == (Rule.UNKNOWN_VARIABLE, "a/mail.mjml.j2", 5)
    assert "'nickname'" in found.detail


def test_what_a_sample_lacks_is_told_with_the_sample() -> None:
    found = _only(mail_txt=TEXT, mail_mjml=_lead("<mj-text>{{ products[0].name }}</mj-text>"))
    assert (found.rule, found.case) == (Rule.CANNOT_RENDER, "no products")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ('<mj-button href="http://shop.example.com">x</mj-button>', Rule.BAD_LINK),
        ('<mj-button href="/cart">x</mj-button>', Rule.BAD_LINK),
        ('<mj-button href="https://shop.example.com/{ id }">x</mj-button>', Rule.BAD_LINK),
        ('<mj-text><a href="">x</a></mj-text>', Rule.BAD_LINK),
        ('<mj-image src="https://shop.example.com/a.png" />', Rule.NO_ALT),
        ("<mj-text>{{ first_name }}</mj-text>", Rule.LEFT_OVER),
        (f"<mj-text>{'long ' * 20_000}</mj-text>", Rule.TOO_LARGE),
    ],
)
def test_each_fault_of_a_page_is_found(body: str, rule: Rule) -> None:
    assert _only(mail_txt=TEXT, mail_mjml=_lead(body)).rule is rule


def test_a_name_that_reaches_html_as_markup_is_found() -> None:
    findings = _findings(mail_txt=TEXT, mail_mjml=_lead("<mj-text>{{ shop_name|safe }}</mj-text>"))
    assert Rule.UNESCAPED in {finding.rule for finding in findings}


def test_a_page_on_a_base_of_its_own_owes_all_that_the_shared_one_gives() -> None:
    page = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section></mj-body></mjml>"
    )
    assert {finding.rule for finding in _findings(mail_txt="Subject: {{ '' }}\nx", mail_mjml=page)} == {
        Rule.NO_SUBJECT,
        Rule.NO_LANG,
        Rule.NO_PREHEADER,
        Rule.NO_DARK_SCHEME,
        Rule.NO_UNSUBSCRIBE,
        Rule.NO_POSTAL_ADDRESS,
    }


def test_an_empty_preheader_is_found() -> None:
    page = '[% extends "_base.mjml.j2" %]\n'
    assert _only(mail_txt=TEXT, mail_mjml=page).rule is Rule.NO_PREHEADER


def test_an_email_without_its_text_part_is_found() -> None:
    assert _only(mail_mjml=PAGE).rule is Rule.MISSING_PART


def test_a_language_without_phrases_is_found() -> None:
    assert {finding.rule for finding in _findings(mail_sv_txt=TEXT, mail_sv_mjml=PAGE)} == {Rule.NO_PHRASES}


def test_a_text_whose_sentence_does_not_fit_is_found() -> None:
    assert _only(note_sms="word " * 40).rule is Rule.SMS_TOO_LONG


def test_a_text_with_a_second_link_is_found() -> None:
    assert _only(note_sms="Look at https://x.example.com now").rule is Rule.SMS_LINKS


def test_colours_that_nobody_can_read_are_found() -> None:
    look = (TEMPLATES / "_shop.yaml").read_text().replace('"#5c677d"', '"#c0c4cc"')
    library = Library(DictLoader({"a/_shop.yaml": look, "a/mail.txt.j2": TEXT, "a/mail.mjml.j2": PAGE}))
    found = check(library, mails(library))
    assert [(finding.rule, finding.file) for finding in found] == [(Rule.TOO_FAINT, "a/_shop.yaml")] * 2
    assert "light: muted on card" in found[0].detail


def test_a_colour_that_is_none_is_told_with_file_and_key() -> None:
    look = (TEMPLATES / "_shop.yaml").read_text().replace('"#5c677d"', '"grey"')
    library = Library(DictLoader({"a/_shop.yaml": look, "a/mail.txt.j2": TEXT}))
    with pytest.raises(TemplatesError, match=r"a/_shop\.yaml: light\.muted"):
        library.shop("a")


def test_a_notification_is_checked_too() -> None:
    assert _findings(note_push="Hi\n{{ shop_name }}") == []
    assert _only(note_push="Hi\n{{ first_name }}").rule is Rule.LEFT_OVER


def test_the_command_tells_findings_and_exits_with_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "note.sms.j2").write_text("word " * 40)
    told = CliRunner().invoke(cli, ["templates", "check", "--folder", str(tmp_path), "--json"])
    assert told.exit_code == 1
    assert [finding["rule"] for finding in json.loads(told.output)["findings"]] == ["sms_too_long"]
    plain = CliRunner().invoke(cli, ["templates", "check", "--folder", str(tmp_path)])
    assert "a/note.sms.j2: sms_too_long" in plain.output


def test_the_command_is_content_with_one_sound_template() -> None:
    told = CliRunner().invoke(cli, ["templates", "check", "--template", "skincare/your-routine", "--json"])
    assert told.exit_code == 0
    assert json.loads(told.output) == {"templates": 2, "findings": []}, "English and German"


def test_a_template_that_is_not_there_is_said() -> None:
    told = CliRunner().invoke(cli, ["templates", "check", "--shop", "nobody"])
    assert told.exit_code == 1
    assert "no template of that name" in told.output
