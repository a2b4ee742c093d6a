//! The request of one run.

use std::fmt::Write;

use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::handlers::Context;
use crate::handlers::facts::facts;

use super::Http;
use super::SIGNATURE;
use super::sign::signature;

impl Http {
    /// The request that `context` is for. It is signed with the present time.
    pub(super) fn request(&self, context: &Context) -> RequestBuilder {
        let body = context.task().spec.kwargs.as_str();
        let mut request =
            self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        for fact in facts(context) {
            if let Some(value) = fact.value {
                request = request.header(fact.header, visible(&value));
            }
        }
        if let Some(secret) = &self.secret {
            let (id, callback) =
                (visible(context.task().id.as_str()), &context.task().spec.callback);
            let seconds = SystemClock.wall().as_us() / 1_000_000;
            let fence = context.fence().0;
            let signed = format!("{id}\n{}\n{fence}\n{body}", visible(callback.as_str()));
            request = request.header(SIGNATURE, signature(secret.reveal(), seconds, &signed));
        }
        request.headers(self.headers.clone()).body(body.to_owned())
    }
}

/// A value that every header can hold, and that `unquote` of a receiver gives back as it was: what is
/// not printable ASCII, a percent sign, and a space at either end are percent-encoded.
fn visible(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut shown = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_inside = at > 0 && at < last;
        match byte {
            b'%' => shown.push_str("%25"),
            b'!'..=b'~' => shown.push(char::from(byte)),
            b' ' if is_inside => shown.push(' '),
            _ => {
                let _never_fails = write!(shown, "%{byte:02X}");
            }
        }
    }
    shown
}

#[test]
fn names_go_into_headers_and_come_back() {
    for (name, shown) in [
        ("Task 0", "Task 0"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("100%", "100%25"),
        ("%C3", "%25C3"),
        (" a ", "%20a%20"),
        (" ", "%20"),
        ("", ""),
    ] {
        assert_eq!(visible(name), shown);
    }
}
