//! URLs of stores: `scheme://[user:password@]host[:port][,host[:port]…][/path][?settings]`.

use redis::ConnectionInfo;
use redis::IntoConnectionInfo;

use super::failure::reason;

/// A URL, taken apart. No part of it is decoded yet.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    /// User and password, as they stand before the `@`.
    login: Option<&'a str>,
    hosts: &'a str,
    /// What follows the hosts, without the first slash.
    pub(super) path: &'a str,
    settings: Vec<(&'a str, &'a str)>,
    /// What follows a `#`.
    fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Takes a URL apart; `None` if it has no scheme.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (login, rest) = match rest.rfind('@') {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (rest, None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let settings = query.split('&').filter(|text| !text.is_empty());
        let settings = settings.map(|text| text.split_once('=').unwrap_or((text, "")));
        Some(Self { scheme, login, hosts, path, settings: settings.collect(), fragment })
    }

    /// Takes a setting out of the query.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.settings.iter().position(|(known, _)| *known == name)?;
        Some(self.settings.remove(at).1)
    }

    /// The name of a setting that was not taken.
    pub(super) fn unknown(&self) -> Option<&'a str> {
        self.settings.first().map(|(name, _)| *name)
    }

    /// How to reach each host and log in there.
    ///
    /// `login` takes the place of the URL's own; `port` is that of hosts that name none; `db` is the
    /// number of the database.
    ///
    /// # Errors
    ///
    /// What is wrong with a host or the login.
    pub(super) fn servers(
        &self,
        login: Login<'_>,
        port: u16,
        db: &str,
    ) -> Result<Vec<ConnectionInfo>, String> {
        let scheme = if self.scheme.starts_with("rediss") { "rediss" } else { "redis" };
        let login = match login {
            Login::OfUrl => self.login.map(|login| format!("{login}@")),
            Login::Other { user, password } => {
                password.map(|password| format!("{}:{password}@", user.unwrap_or_default()))
            }
        };
        let login = login.unwrap_or_default();
        let fragment = self.fragment.map(|text| format!("#{text}")).unwrap_or_default();
        let server = |host: &str| {
            let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
            let port = if has_port { String::new() } else { format!(":{port}") };
            let url = format!("{scheme}://{login}{host}{port}/{db}{fragment}");
            url.into_connection_info().map_err(|error| format!("{host:?}: {}", reason(&error)))
        };
        self.hosts.split(',').map(server).collect()
    }
}

/// Who logs in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Login<'a> {
    /// Who the URL names.
    OfUrl,
    /// Somebody else, if there is a password.
    Other { user: Option<&'a str>, password: Option<&'a str> },
}

/// A URL as it may be shown: without user and password.
pub(super) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.contains('@') { "a URL without scheme".into() } else { url.into() };
    };
    let (login, rest) = match rest.rfind('@') {
        Some(at) => ("***", &rest[at..]),
        None if rest.starts_with(':') => return format!("{scheme}://***"),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((place, query)) if query.contains("pass") => format!("{scheme}://{login}{place}?***"),
        _ => format!("{scheme}://{login}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_logs_in() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://:secret@host/1", "redis://***@host/1"),
            ("rediss://user:se@cret@host", "rediss://***@host"),
            ("redis://:secret", "redis://***"),
            ("user:secret@host", "a URL without scheme"),
            ("redis://host?partitions=3", "redis://host?partitions=3"),
            ("redis+sentinel://a:1,b/m?sentinel_password=secret", "redis+sentinel://a:1,b/m?***"),
            ("redis+unix:///x.sock?db=1&pass=secret", "redis+unix:///x.sock?***"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn a_url_is_taken_apart() {
        let mut parts = Parts::of("redis://me:p%40w@host:7/2?partitions=3&protocol=resp3").unwrap();

        assert_eq!(parts.take("partitions"), Some("3"));
        assert_eq!(parts.take("partitions"), None);
        assert_eq!(parts.unknown(), Some("protocol"));
    }

    #[test]
    fn several_hosts_share_a_login() {
        let parts = Parts::of("rediss+sentinel://me:p%40w@a:1,[::1],[::2]:9/m").unwrap();

        let servers = parts.servers(Login::OfUrl, 26379, "3").unwrap();
        let places: Vec<_> = servers.iter().map(|server| server.addr().to_string()).collect();
        assert_eq!(places, ["a:1", "::1:26379", "::2:9"]);
        let settings = servers[2].redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("p@w")));
        assert_eq!(settings.db(), 3);

        let other = Login::Other { user: None, password: Some("s3") };
        let servers = parts.servers(other, 26379, "").unwrap();
        let settings = servers[0].redis_settings();
        assert_eq!((settings.username(), settings.password()), (None, Some("s3")));
        let nobody = Login::Other { user: Some("me"), password: None };
        let settings = parts.servers(nobody, 1, "").unwrap()[0].redis_settings().clone();
        assert_eq!((settings.username(), settings.password()), (None, None));
    }

    #[test]
    fn a_wrong_host_is_named() {
        let parts = Parts::of("redis+sentinel://:secret@a:1,b:port/m").unwrap();

        let error = parts.servers(Login::OfUrl, 26379, "").unwrap_err();

        assert!(error.starts_with("\"b:port\": ") && !error.contains("secret"), "{error}");
    }
}
