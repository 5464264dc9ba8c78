//! A refusal or failure as a page. Which one it is and what the log has of it is the edge's business.

use axum::response::Response;
use maud::{DOCTYPE, Markup, html};

use super::{assets, page, parts};
use crate::problem::Problem;

/// Marks an answer that somebody looks at: a problem in it is shown as a page.
#[derive(Clone)]
pub(crate) struct Shown {
    /// Whether a key is set, so that a session can be over.
    pub(super) signed: bool,
    /// The page of the thing that was asked about, where it may still be there.
    pub(super) back: Option<String>,
    /// How the API calls itself.
    pub(super) title: String,
}

impl Shown {
    /// The page of a problem.
    pub(crate) fn page(&self, problem: &Problem, request_id: &str) -> Response {
        let status = problem.status();
        let shown = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (problem.title()) " · " (self.title) }
                    link rel="icon" type="image/svg+xml" href=(assets::icon());
                    link rel="stylesheet" href=(assets::style());
                }
                body {
                    (page::top(page::Place::None, self.signed))
                    main id="main" { (self.inside(problem, request_id)) }
                }
            }
        };
        let mut response = page::answer(shown);
        *response.status_mut() = status;
        response
    }

    fn inside(&self, problem: &Problem, request_id: &str) -> Markup {
        let faults: Vec<_> = problem.faults().iter().collect();
        html! {
            section.card.narrow {
                h1 { (problem.title()) }
                @if faults.is_empty() { p { (parts::sentence(problem.detail())) } }
                @else { (parts::faults(&faults)) }
                @if let Some(other) = problem.task_id() {
                    p { "It is about " a href={ "/tasks/" (other) } { "task " (other) } "." }
                }
                p.quiet {
                    "Code " code { (problem.code()) } ", request " code { (request_id) } ". "
                    a href={ "/errors/" (problem.code()) } { "What this error means" }
                }
                p.row {
                    @if self.signed && problem.code() == "unauthorized" {
                        a.button.primary href="/sign-in" { "Sign in" }
                    }
                    @if let Some(back) = &self.back { a.button.primary href=(back) { "Back" } }
                    a.button href="/" { "Overview" }
                }
            }
        }
    }
}
