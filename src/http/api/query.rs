//! The part of an address after the question mark.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::request::Parts;

use crate::http::Api;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;

/// Names and values of a query, taken out one by one; what is left at the end was not understood.
#[derive(Debug)]
pub(in crate::http) struct Queried(Vec<(String, String)>);

impl FromRequestParts<Api> for Queried {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Answer<Self> {
        Query::<Vec<(String, String)>>::from_request_parts(parts, api)
            .await
            .map(|Query(pairs)| Self(pairs))
            .map_err(|error| Problem::new(Kind::BadQuery, error.to_string()))
    }
}

impl Queried {
    /// All values of `name`.
    pub(super) fn all<T>(&mut self, name: &str) -> Answer<Vec<T>>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let taken = self.0.extract_if(.., |(key, _)| key == name);
        let parsed = taken.map(|(_, text)| {
            text.parse().map_err(|error| bad(format!("{name}={text:?}: {error}")))
        });
        parsed.collect()
    }

    /// The only value of `name`, if it is given.
    pub(super) fn one<T>(&mut self, name: &str) -> Answer<Option<T>>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let mut values = self.all(name)?;
        if values.len() > 1 {
            return Err(bad(format!("{name} is given twice")));
        }
        Ok(values.pop())
    }

    /// The only value of `name`, read by `read`, which says what would be right.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Answer<Option<T>> {
        let text: Option<String> = self.one(name)?;
        text.map(|text| read(&text).map_err(|error| bad(format!("{name}: {error}")))).transpose()
    }

    /// Refuses what nobody took.
    pub(super) fn end(self) -> Answer<()> {
        match self.0.first() {
            Some((name, _)) => Err(bad(format!("{name:?} is not known here"))),
            None => Ok(()),
        }
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(Kind::BadQuery, detail)
}
