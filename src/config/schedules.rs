//! The section `[schedules]` of the file.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Map;
use serde_json::Value;
use toml::Table;

use crate::domain::id::QueueName;
use crate::domain::json::Json;

use super::Error;
use super::settings::Shown;
use super::settings::Source;

/// The key beside the schedules.
const REVISION: &str = "revision";

/// Fields of a task that a schedule has.
const FIELDS: [&str; 16] = [
    "callback",
    "kwargs",
    "cron",
    "timezone",
    "interval",
    "coalesce",
    "queue",
    "priority",
    "group_id",
    "max_attempts",
    "backoff",
    "timeout",
    "exclusive",
    "retention",
    "metadata",
    "paused",
];

/// Schedules as the file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleSettings {
    /// The file.
    pub path: PathBuf,
    /// Beats every lower one; 0 unless set.
    pub revision: u64,
    /// Each with its name: the fields of a task, as an object. Their values are not checked yet.
    pub schedules: Vec<(String, Json)>,
}

impl ScheduleSettings {
    /// Reads the section, and notes what it has for people.
    pub(super) fn read(path: &Path, table: &Table, shown: &mut Vec<Shown>) -> Result<Self, Error> {
        let malformed = |message| Error::Malformed { path: path.into(), line: None, message };
        let mut settings = Self { path: path.into(), revision: 0, schedules: Vec::new() };
        for (name, value) in table {
            match (name.as_str(), value) {
                (REVISION, toml::Value::Integer(revision)) if *revision >= 0 => {
                    settings.revision = revision.unsigned_abs();
                }
                (REVISION, _) => {
                    let message = "schedules.revision: must be a whole number, such as 1; no \
                                   schedule can be called so";
                    return Err(malformed(message.into()));
                }
                (name, toml::Value::Table(fields)) => {
                    let json = fields_of(name, fields).map_err(&malformed)?;
                    settings.schedules.push((name.to_owned(), json));
                }
                (name, _) => {
                    let message = format!("schedules.{name}: write it as [schedules.{name}]");
                    return Err(malformed(message));
                }
            }
        }

        let mut note = |setting: String, value: String| {
            shown.push(Shown { setting, value, from: Source::File(path.into()) });
        };
        note(format!("schedules.{REVISION}"), settings.revision.to_string());
        for (name, fields) in table {
            for (key, value) in fields.as_table().into_iter().flatten() {
                let value = json_of(value).map_err(&malformed)?;
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                note(format!("schedules.{name}.{key}"), text);
            }
        }
        Ok(settings)
    }
}

/// The fields of a schedule, all of which a schedule may have.
fn fields_of(name: &str, fields: &Table) -> Result<Json, String> {
    QueueName::parse(name).map_err(|error| format!("schedules.{name}: the name {error}"))?;
    for key in fields.keys() {
        let remedy = match key.as_str() {
            known if FIELDS.contains(&known) => continue,
            "group" => "is written group_id".to_owned(),
            "every" => "is written interval".to_owned(),
            "run_at" | "run_in" | "run_type" => {
                "is not for schedules: cron or interval say when they run".to_owned()
            }
            "task_id" | "id" => format!("is not for schedules: the task is schedule:{name}"),
            _ => format!("is not known; a schedule has {}", FIELDS.join(", ")),
        };
        return Err(format!("schedules.{name}.{key}: {remedy}"));
    }
    for needed in [&["callback"][..], &["cron", "interval"]] {
        if !needed.iter().any(|key| fields.contains_key(*key)) {
            return Err(format!("schedules.{name}: needs {}", needed.join(" or ")));
        }
    }

    let mut object = Map::new();
    for (key, value) in fields {
        let value = json_of(value).map_err(|why| format!("schedules.{name}.{key}: {why}"))?;
        object.insert(key.clone(), value);
    }
    Json::of(&object).map_err(|error| format!("schedules.{name}: {error}"))
}

fn json_of(value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)
            .ok_or("JSON has no such number; write it as text")?
            .into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(items) => {
            items.iter().map(json_of).collect::<Result<Vec<_>, _>>()?.into()
        }
        toml::Value::Table(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), json_of(value)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(ScheduleSettings, Vec<Shown>), String> {
        let table: Table = text.parse().unwrap();
        let mut shown = Vec::new();
        match ScheduleSettings::read(Path::new("t.toml"), &table, &mut shown) {
            Ok(settings) => Ok((settings, shown)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_schedule_becomes_the_fields_of_a_task() {
        let text = "revision = 3\n[bill]\ncallback = \"bill\"\ninterval = 1.5\ncoalesce = false\n\
                    kwargs = { n = [1, 2.5], at = 2026-11-24T10:00:00Z, s = \"x\" }\n";
        let (settings, shown) = read(text).unwrap();

        assert_eq!((settings.revision, settings.schedules.len()), (3, 1));
        let fields: Value = settings.schedules[0].1.read().unwrap();
        assert_eq!(
            fields,
            serde_json::json!({
                "callback": "bill", "interval": 1.5, "coalesce": false,
                "kwargs": { "n": [1, 2.5], "at": "2026-11-24T10:00:00Z", "s": "x" },
            })
        );
        let shown: Vec<_> =
            shown.iter().map(|it| (it.setting.as_str(), it.value.as_str())).collect();
        assert!(shown.contains(&("schedules.revision", "3")), "{shown:?}");
        assert!(shown.contains(&("schedules.bill.callback", "bill")), "{shown:?}");
        assert!(shown.contains(&("schedules.bill.interval", "1.5")), "{shown:?}");
    }

    #[test]
    fn what_a_schedule_cannot_be_is_named_with_what_to_do() {
        let whole = "callback = \"x\"\ninterval = \"5s\"\n";
        for (text, message) in [
            ("[a]\ncallback = \"x\"\n".to_owned(), "schedules.a: needs cron or interval"),
            ("[a]\ninterval = 5\n".into(), "schedules.a: needs callback"),
            (format!("[a]\n{whole}group = \"g\"\n"), "schedules.a.group: is written group_id"),
            (format!("[a]\n{whole}task_id = \"t\"\n"), "the task is schedule:a"),
            (format!("[a]\n{whole}run_at = \"t\"\n"), "schedules.a.run_at: is not for schedules"),
            (format!("[a]\n{whole}colour = 1\n"), "schedules.a.colour: is not known"),
            (format!("[\"a b\"]\n{whole}"), "schedules.a b: the name contains ' '"),
            (format!("[revision]\n{whole}"), "schedules.revision: must be a whole number"),
            ("revision = -1\n".into(), "schedules.revision: must be a whole number"),
            ("a = 5\n".into(), "schedules.a: write it as [schedules.a]"),
            (format!("[a]\n{whole}kwargs = {{ x = nan }}\n"), "JSON has no such number"),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(
                refused.starts_with("t.toml: ") && refused.contains(message),
                "{text}: {refused}"
            );
        }
    }
}
