//! Tables: widths, cuts, and text that must not reach a terminal as it is.

use super::{Table, columns, cut, harmless, harmless_json};

#[test]
fn columns_are_as_wide_as_what_they_hold() {
    let mut table = Table::new(&["ID", "STATUS", "TITLE"]);
    table.row(["7", "pending", "Resize"]);
    table.row(["1234", "ok", ""]);
    let text = "ID    STATUS   TITLE\n7     pending  Resize\n1234  ok\n";
    assert_eq!(table.render(80), text);
}

#[test]
fn a_table_without_rows_is_its_headings() {
    assert_eq!(Table::new(&["A", "B"]).render(80), "A  B\n");
}

#[test]
fn no_line_is_wider_than_the_room_and_what_is_cut_off_shows() {
    let mut table = Table::new(&["ID", "KIND", "TITLE"]);
    table.row(["1", &"k".repeat(100), &"wide 汉字 ".repeat(30)]);
    table.row(["2", "log", &"x".repeat(300)]);
    for width in [60, 80, 120] {
        let text = table.render(width);
        for line in text.lines() {
            assert!(columns(line) <= width, "{} of {width}: {line}", columns(line));
        }
        assert_eq!(text.matches('…').count(), 3, "{text}");
    }
    let narrow = table.render(1);
    assert!(narrow.lines().all(|line| columns(line) <= 60), "the title keeps 20:\n{narrow}");
}

#[test]
fn texts_are_cut_by_columns_and_not_by_bytes() {
    assert_eq!(cut("short", 5), "short");
    assert_eq!(cut("longer", 5), "long…");
    assert_eq!(cut("äöüßäöü", 4), "äöü…");
    assert_eq!(cut("汉字汉字", 5), "汉字…");
    assert_eq!(cut("汉字汉字", 4), "汉…");
    assert_eq!(cut("ab", 0), "…");
}

#[test]
fn what_a_terminal_would_obey_becomes_visible() {
    let nasty = "a\u{1b}[31mb\n\r\t\0\u{7f}\u{9b}2J\u{202e}c\u{2066}\u{200b}\u{2028}ü汉";
    let shown = harmless(nasty);
    assert!(shown.chars().all(|c| matches!(c, ' '..='~' | 'ü' | '汉')), "{shown}");
    assert!(shown.starts_with(r"a\u{1b}[31mb\n\r\t\u{0}\u{7f}\u{9b}2J\u{202e}c"), "{shown}");
    assert_eq!(harmless("plain, grün, 汉字"), "plain, grün, 汉字");
}

#[test]
fn no_cell_reaches_a_terminal_as_it_is() {
    let mut table = Table::new(&["A", "B"]);
    table.row(["x\ny", "\u{1b}[2J"]);
    assert_eq!(table.render(80), "A     B\nx\\ny  \\u{1b}[2J\n");
}

#[test]
fn json_for_a_terminal_means_the_same() {
    let text = "a\u{7f}\u{9b}\u{202e}\u{feff}b";
    let json = format!("{{\n\t\"title\": \"{text}\"}}");
    let shown = harmless_json(&json);
    assert!(shown.chars().all(|c| matches!(c, ' '..='~' | '\n' | '\t')), "{shown}");
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["title"], text);
}
