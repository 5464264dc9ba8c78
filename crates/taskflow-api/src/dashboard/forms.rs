//! The fields that forms are made of, each with its fault beside it.

use http::StatusCode;
use maud::{Markup, html};
use taskflow_core::Fault;
use taskflow_service::ServiceError;
use taskflow_service::words::Overview;

use super::parts;
use crate::problem::Problem;

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
    input(name, words, value, hint, Extra::default(), faults)
}

/// A line that must say something.
pub(super) fn needed(name: &str, words: &str, value: &str, hint: &str, faults: &[Fault]) -> Markup {
    let extra = Extra { required: true, ..Extra::default() };
    input(name, words, value, hint, extra, faults)
}

/// A number. A browser's own field of numbers loses what it takes for none, so it is text.
pub(super) fn number(name: &str, words: &str, value: &str, hint: &str, faults: &[Fault]) -> Markup {
    let extra = Extra { mode: Some("numeric"), ..Extra::default() };
    input(name, words, value, hint, extra, faults)
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
    let extra = Extra { list: Some(list), ..Extra::default() };
    input(name, words, value, hint, extra, faults)
}

/// In what lines differ.
#[derive(Default)]
struct Extra<'a> {
    required: bool,
    mode: Option<&'a str>,
    list: Option<&'a str>,
}

fn input(
    name: &str,
    words: &str,
    value: &str,
    hint: &str,
    Extra { required, mode, list }: Extra<'_>,
    faults: &[Fault],
) -> Markup {
    let wrong = of(name, faults);
    html! {
        div.field {
            label for={ "field-" (name) } { (words) }
            input id={ "field-" (name) } name=(name) value=(value) inputmode=[mode] list=[list]
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
pub(super) fn choice(
    name: &str,
    words: &str,
    value: &str,
    all: &[(&str, &str)],
    faults: &[Fault],
) -> Markup {
    let wrong = of(name, faults);
    html! {
        div.field {
            label for={ "field-" (name) } { (words) }
            select id={ "field-" (name) } name=(name) {
                @for (word, shown) in all { option value=(word) selected[*word == value] { (shown) } }
            }
            (said(name, &wrong))
        }
    }
}

/// Faults of what no field of the form shows.
pub(super) fn other(faults: &[Fault], is_field: impl Fn(&str) -> bool) -> Markup {
    let rest = |fault: &&Fault| {
        let place = parts::place(&fault.pointer);
        place.is_empty() || !is_field(place.split('/').next().unwrap_or(place))
    };
    parts::faults(&faults.iter().filter(rest).collect::<Vec<_>>())
}

/// So many names are suggested in the fields of queue and kind.
const SUGGESTED: usize = 100;

/// The names of queues and kinds that are suggested: `kinds` first, then what there is.
pub(super) fn known(overview: &Overview, kinds: &[&str]) -> Markup {
    let others = overview.kinds.iter().map(|(kind, _)| kind.as_str());
    let others = others.filter(|kind| !kinds.contains(kind));
    html! {
        datalist id="kinds-known" {
            @for kind in kinds.iter().copied().chain(others).take(SUGGESTED) { option value=(kind) {} }
        }
        datalist id="queues-known" {
            @for (queue, _) in overview.queues.iter().take(SUGGESTED) { option value=(queue.as_str()) {} }
        }
    }
}

/// The text of a field among those of a form.
pub(super) fn value<'a>(values: &'a [(&'static str, String)], name: &str) -> &'a str {
    values.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text.as_str())
}

/// Said of a form of what somebody else changed since it was shown.
pub(super) fn stale() -> Fault {
    let message = "Somebody changed it since you opened this form, and nothing was saved. Save once more to \
                   write what stands here over theirs.";
    Fault::new("", "stale-version", message)
}

/// With which status and faults a form is shown again after an act that was not done. What was typed into it
/// is not lost to a database that is away for a moment.
///
/// # Errors
///
/// Everything that filling in the form again cannot mend.
pub(super) fn again(error: ServiceError) -> Result<(StatusCode, Vec<Fault>), Problem> {
    match error {
        ServiceError::Invalid(faults) => Ok((StatusCode::UNPROCESSABLE_ENTITY, faults)),
        ServiceError::Busy | ServiceError::Unavailable | ServiceError::StorageFull => {
            let message = format!("Nothing was saved: {error}. Try again in a moment.");
            let fault = Fault::new("", error.code(), message);
            Ok((Problem::from(error).status(), vec![fault]))
        }
        ServiceError::NotEnded(_) | ServiceError::KeyHeld(_) => {
            let fault = Fault::new("", error.code(), format!("Nothing was saved: {error}."));
            Ok((StatusCode::CONFLICT, vec![fault]))
        }
        error => Err(error.into()),
    }
}
