//! The environment, read once.

use std::collections::BTreeMap;
use std::env;

use super::Error;

/// What all variables of this program start with.
const PREFIX: &str = "TASKSHED_";

/// What the variables of OpenTelemetry start with.
const TELEMETRY: &str = "OTEL_";

/// Names the trace that this process works for: a handler that adds tasks hands it on with them.
const TRACE: &str = "TRACEPARENT";

/// The variables that this program reads. Unknown ones are left alone: commands that a node runs find facts
/// about their task under the same prefix.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process. One that is not UTF-8 is an error if it is asked for.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        let variables = env::vars_os().filter_map(text);
        let is_ours =
            |name: &str| name.starts_with(PREFIX) || name.starts_with(TELEMETRY) || name == TRACE;
        Self { variables: variables.filter(|(name, _)| is_ours(name)).collect() }
    }

    /// An environment of these variables, for tests.
    #[must_use]
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.into(), value.into());
        Self { variables: variables.into_iter().map(owned).collect() }
    }

    /// The variable called `name`. An empty one counts as not set, as most programs have it.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The variable called `name`, read by `parse`.
    ///
    /// # Errors
    ///
    /// If its value cannot be read; the variable is named.
    pub fn read<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let invalid = |message| Error::Invalid { setting: name.into(), message };
        self.text(name).map(parse).transpose().map_err(invalid)
    }
}
