//! Where a server is, and how to log in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use mysql_async::Opts;
use mysql_async::OptsBuilder;
use mysql_async::SslOpts;

use crate::store::Error;
use crate::store::Result;

/// After how long of silence the peer of an idle connection is probed.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Where a server is, and how to log in.
#[derive(Clone)]
pub(super) struct Address {
    opts: Opts,
    shown: String,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SslMode {
    Disabled,
    /// By any certificate.
    Required,
    /// By one that a known authority signed, whatever host it names.
    VerifyCa,
    VerifyIdentity,
}

impl Address {
    /// Reads `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE[?ssl-mode=…&ssl-ca=…&socket=…]`.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let shown = redacted(url);
        let refused = |why: String| Error::Unusable { problem: format!("{shown}: {why}") };
        let (base, settings) = url.split_once('?').unwrap_or((url, ""));
        let base = base.strip_prefix("mariadb://").map(|rest| format!("mysql://{rest}"));
        let base = base.as_deref().unwrap_or_else(|| url.split('?').next().unwrap_or(url));
        let opts = Opts::from_url(base).map_err(|error| refused(error.to_string()))?;
        if opts.db_name().is_none_or(str::is_empty) {
            return Err(refused(
                "names no database; use mysql://USER:PASSWORD@HOST/DATABASE".into(),
            ));
        }
        let opts = tuned(opts, settings).map_err(refused)?;
        install_tls();
        Ok(Self { opts, shown })
    }

    /// The database that holds the tables.
    pub(super) fn database(&self) -> &str {
        self.opts.db_name().unwrap_or_default()
    }

    /// How a connection to it is made.
    pub(super) fn opts(&self) -> Opts {
        self.opts.clone()
    }
}

impl fmt::Debug for Address {
    /// The URL without what logs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn tuned(opts: Opts, settings: &str) -> std::result::Result<Opts, String> {
    let mut mode = None;
    let (mut authority, mut socket) = (None, None);
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "ssl-mode" => mode = Some(ssl_mode(value)?),
            "ssl-ca" => authority = Some(PathBuf::from(value)),
            "socket" => socket = Some(value.to_owned()),
            _ => return Err(format!("{name:?} is no setting; known are ssl-mode, ssl-ca, socket")),
        }
    }
    let default = if authority.is_some() { SslMode::VerifyIdentity } else { SslMode::Disabled };
    let ssl = match mode.unwrap_or(default) {
        SslMode::Disabled => None,
        mode => {
            let roots = authority.map(|path| vec![path.into()]).unwrap_or_default();
            Some(
                SslOpts::default()
                    .with_root_certs(roots)
                    .with_danger_accept_invalid_certs(mode == SslMode::Required)
                    .with_danger_skip_domain_validation(mode != SslMode::VerifyIdentity),
            )
        }
    };
    let opts = OptsBuilder::from_opts(opts)
        .prefer_socket(false)
        .socket(socket)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(PROBE_AFTER))
        .stmt_cache_size(0)
        .ssl_opts(ssl);
    Ok(opts.into())
}

fn ssl_mode(text: &str) -> std::result::Result<SslMode, String> {
    match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "disabled" => Ok(SslMode::Disabled),
        "required" => Ok(SslMode::Required),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-identity" => Ok(SslMode::VerifyIdentity),
        _ => Err(format!(
            "ssl-mode is {text:?}; use disabled, required, verify-ca or verify-identity"
        )),
    }
}

/// Chooses the cryptography of TLS connections, unless the program chose one before.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A URL as it may be shown: without user and password.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.contains('@') { "a URL without scheme".into() } else { url.into() };
    };
    match rest.rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_as_whom() {
        let address = Address::parse("mysql://ann:s%40cret@db.example:3307/shed").unwrap();

        let opts = address.opts();
        assert_eq!((opts.user(), opts.pass()), (Some("ann"), Some("s@cret")));
        assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), ("db.example", 3307));
        assert_eq!((opts.db_name(), opts.socket()), (Some("shed"), None));
        assert!(opts.ssl_opts().is_none());
    }

    #[test]
    fn settings_follow_the_question_mark() {
        let opts = |settings: &str| {
            Address::parse(&format!("mysql://a:b@h/d?{settings}")).map(|address| address.opts())
        };

        assert_eq!(opts("socket=/run/x.sock").unwrap().socket(), Some("/run/x.sock"));
        let required = opts("ssl-mode=REQUIRED").unwrap();
        assert!(required.ssl_opts().unwrap().accept_invalid_certs());
        let identity = opts("ssl-ca=/ca.pem").unwrap();
        assert!(!identity.ssl_opts().unwrap().skip_domain_validation());
        assert!(!identity.ssl_opts().unwrap().accept_invalid_certs());
        let authority = opts("ssl-mode=verify_ca&ssl-ca=/ca.pem").unwrap();
        assert!(authority.ssl_opts().unwrap().skip_domain_validation());
        assert!(!authority.ssl_opts().unwrap().accept_invalid_certs());
        assert!(opts("ssl-mode=maybe").is_err());
        assert!(opts("pool_max=3").unwrap_err().to_string().contains("known are ssl-mode"));
    }

    #[test]
    fn a_wrong_url_is_named_and_the_password_is_not() {
        for url in
            ["mysql://a:secret@host:port/d", "mysql://a:secret@host", "mysql://a:secret@h/d?x=1"]
        {
            let text = Address::parse(url).map(|address| format!("{address:?}"));
            let text = text.unwrap_or_else(|error| format!("{error} {error:?}"));

            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("mysql://***@"), "{text}");
        }
    }
}
