//! The fields that forms are made of, each with its fault beside it.

use maud::{Markup, html};
use taskflow_core::Fault;

use super::parts;

/// The faults of a field.
fn of<'a>(name: &str, faults: &'a [Fault]) -> Vec<&'a Fault> {
    let belongs = |fault: &&Fault| {
        let place = parts::place(&fault.pointer);
        place == name || place.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
    };
    faults.iter().filter(belongs).collect()
}

/// What is wrong with a field, for `aria-describedby`.
fn said(name: &str, faults: &[&Fault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            span.fault id={ "fault-" (name) } { @for fault in faults { (fault.message) " " } }
        }
    }
}

fn hint_of(name: &str, hint: &str) -> Markup {
    html! { @if !hint.is_empty() { span.hint id={ "hint-" (name) } { (hint) } } }
}

fn described(name: &str, hint: &str, wrong: bool) -> Option<String> {
    let mut ids = Vec::new();
    if !hint.is_empty() {
        ids.push(format!("hint-{name}"));
    }
    if wrong {
        ids.push(format!("fault-{name}"));
    }
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// A line of text.
pub(super) fn line(name: &str, words: &str, value: &str, hint: &str, faults: &[Fault]) -> Markup {
    input(name, (words, "text", value, hint), false, faults)
}

/// A line that must say something.
pub(super) fn needed(name: &str, words: &str, value: &str, hint: &str, faults: &[Fault]) -> Markup {
    input(name, (words, "text", value, hint), true, faults)
}

/// A number. A browser's own field of numbers loses what it takes for none, so it is text.
pub(super) fn number(name: &str, words: &str, value: &str, hint: &str, faults: &[Fault]) -> Markup {
    input(name, (words, "numeric", value, hint), false, faults)
}

fn input(
    name: &str,
    (words, mode, value, hint): (&str, &str, &str, &str),
    required: bool,
    faults: &[Fault],
) -> Markup {
    let wrong = of(name, faults);
    html! {
        div.field {
            label for={ "field-" (name) } { (words) }
            input id={ "field-" (name) } name=(name) value=(value) inputmode=[(mode != "text").then_some(mode)]
                required[required] autocomplete="off" aria-invalid=[(!wrong.is_empty()).then_some("true")]
                aria-describedby=[described(name, hint, !wrong.is_empty())];
            (hint_of(name, hint))
            (said(name, &wrong))
        }
    }
}

/// A text of several lines; `code` is shown in letters of one width.
pub(super) fn area(
    name: &str,
    (words, value, hint): (&str, &str, &str),
    code: bool,
    faults: &[Fault],
) -> Markup {
    let wrong = of(name, faults);
    let rows = if code { 10 } else { 3 };
    html! {
        div.field.wide {
            label for={ "field-" (name) } { (words) }
            // The first line end after the tag is the parser's.
            textarea id={ "field-" (name) } name=(name) rows=(rows) class=[code.then_some("code")]
                spellcheck=(if code { "false" } else { "true" })
                data-json[code] aria-invalid=[(!wrong.is_empty()).then_some("true")]
                aria-describedby=[described(name, hint, !wrong.is_empty())] { "\n" (value) }
            (hint_of(name, hint))
            (said(name, &wrong))
        }
    }
}

/// One of several words; each with what is shown for it.
pub(super) fn choice(name: &str, words: &str, value: &str, all: &[(&str, &str)]) -> Markup {
    html! {
        div.field {
            label for={ "field-" (name) } { (words) }
            select id={ "field-" (name) } name=(name) {
                @for (word, shown) in all { option value=(word) selected[*word == value] { (shown) } }
            }
        }
    }
}

/// Faults of what no field of the form shows.
pub(super) fn other(faults: &[Fault], is_field: impl Fn(&str) -> bool) -> Markup {
    let rest = |fault: &&Fault| {
        let place = parts::place(&fault.pointer);
        !is_field(place.split('/').next().unwrap_or(place))
    };
    parts::faults(&faults.iter().filter(rest).collect::<Vec<_>>())
}

/// A line of text with suggestions.
pub(super) fn listed(
    name: &str,
    words: &str,
    value: &str,
    list: &str,
    hint: &str,
    faults: &[Fault],
) -> Markup {
    let wrong = of(name, faults);
    html! {
        div.field {
            label for={ "field-" (name) } { (words) }
            input id={ "field-" (name) } name=(name) value=(value) list=(list) autocomplete="off"
                aria-invalid=[(!wrong.is_empty()).then_some("true")]
                aria-describedby=[described(name, hint, !wrong.is_empty())];
            (hint_of(name, hint))
            (said(name, &wrong))
        }
    }
}
