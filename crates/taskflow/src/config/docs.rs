//! Prints docs/configuration.md and .env.example from the list of settings; a test compares. Print
//! them anew with `cargo run -- config --docs > docs/configuration.md` and
//! `cargo run -- config --env-example > .env.example`.
//! It knows only the list, never a value in force.

use std::fmt::Write;

use super::settings::{SETTINGS, Section, Setting};

const INTRODUCTION: &str = "\
# Configuration

This page is printed from the program by `taskflow config --docs`. TaskFlow starts without any configuration; everything
here has a default.

## Where values come from

Each source wins over the ones before it:

1. the defaults below;
2. the file `.env` in the working folder (`.env.example` is one to start from);
3. the environment of the process;
4. flags: `--port 9000` is `PORT=9000` (`taskflow serve --help` lists them).

`taskflow config` shows every value in force and where it came from, secrets masked; `taskflow config --json` does so for
machines.

- Names are read in any letter case. If the environment holds two spellings of one name, the one in capitals counts.
- A wrong value stops the start. The message lists every fault at once: the variable, where it was set, what is wrong with
  it and what was expected. It never shows a secret.
- A variable that begins with `TASKFLOW_` and is no setting is a fault too (settings have no prefix), and the message names
  the setting that it resembles. Those that Kubernetes makes for a service called `taskflow` are left alone. In `.env`, a
  name that nearly is a setting gives a warning; other names are not looked at.
- Truth is `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`. Lists are separated by commas, or JSON: `[\"a\", \"b\"]`.

In `.env` a line is `NAME=value`, after `export` if you like. A value without quotes ends at the end of the line or at a `#`
after a space. In double quotes `\\n`, `\\r`, `\\t`, `\\\"` and `\\\\` are escapes, and a value may run over several lines.
`${NAME}` and `${NAME:-default}` stand for another value, but not in single quotes; a `$` alone is a dollar sign.

## Settings
";

const COMMANDS: &str = r#"
#### Commands

A task of kind `command` names one of these; nothing of the command line comes from the task. The task's payload is the
command's standard input. No shell is involved.

```
WORKER_COMMANDS='{
  "thumbnail": {"argv": ["/usr/local/bin/thumbnail", "--size", "200"]},
  "backup": {
    "argv": ["./backup.sh"],
    "cwd": "/var/lib/shop",
    "env": {"BACKUP_TOKEN": "…"},
    "retry_exit_codes": [75, 111]
  }
}'
```

| Field | Default | What it is |
|---|---|---|
| `argv` | | The program and its arguments. |
| `env` | `{}` | Variables for the command. Their values are masked wherever the configuration is shown. |
| `cwd` | the worker's | The folder it runs in. |
| `retry_exit_codes` | `[75]` | Exit codes, 1 to 255, that ask for another attempt. 0 is success, any other code fails the task for good. |
"#;

/// The text of docs/configuration.md.
pub fn render_docs() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in Section::ALL {
        write(&mut page, format_args!("\n### {}\n\n", section.title()));
        page.push_str("| Name | Default | What it is |\n|---|---|---|\n");
        for setting in of(section) {
            let default = match setting.default_words {
                Some(words) => words.to_owned(),
                None => format!("`{}`", setting.default),
            };
            let (name, about, expected) = (setting.name, setting.about, setting.expected);
            let row = format_args!("| `{name}` | {default} | {about} Expected: {expected}. |\n");
            write(&mut page, row);
        }
        if section == Section::Worker {
            page.push_str(COMMANDS);
        }
    }
    page
}

/// The text of .env.example: every setting with its default, commented out.
pub fn render_env_example() -> String {
    let mut file = "\
# Copy to .env and change what you need; every line below is the default.
# docs/configuration.md explains each setting.
"
    .to_owned();
    for section in Section::ALL {
        write(&mut file, format_args!("\n# --- {}\n", section.title()));
        for setting in of(section) {
            // On a line of its own: `docker run --env-file` takes a remark behind a value for the value.
            let default = match setting.default_words {
                Some(words) => {
                    write(&mut file, format_args!("# Empty: {words}\n"));
                    ""
                }
                None => setting.default,
            };
            write(&mut file, format_args!("#{}={default}\n", setting.name));
        }
    }
    file
}

fn of(section: Section) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.section == section)
}

fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes any text");
}
