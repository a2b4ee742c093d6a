//! TLS by a certificate and a key in files, which are read again when they change.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;
use tracing::info;
use tracing::warn;

use crate::config::TlsFiles;

/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate that may change while it is in use.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    stamps: Stamps,
    looked_at: Duration,
}

/// What tells whether a file is another one: its time and its length.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or they do not belong together; the message names the file.
    pub fn load(files: TlsFiles) -> io::Result<Self> {
        let stamps = stamps(&files);
        let config = read(&files)?;
        let loaded = Mutex::new(Loaded { config, stamps, looked_at: Duration::ZERO });
        Ok(Self { files, loaded })
    }

    /// What speaks TLS with a new connection, by the files as they are.
    ///
    /// Files that cannot be used, such as a new certificate beside the old key, are told once, and the
    /// last good ones stay in use.
    pub(super) fn acceptor(&self, steady: Duration) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if steady.saturating_sub(loaded.looked_at) >= LOOK_EVERY {
            loaded.looked_at = steady;
            let stamps = stamps(&self.files);
            if stamps != loaded.stamps {
                loaded.stamps = stamps;
                match read(&self.files) {
                    Ok(config) => {
                        info!("the certificate of the API was read again");
                        loaded.config = config;
                    }
                    Err(error) => warn!(%error, "the new certificate cannot be used"),
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&loaded.config))
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    [&files.cert, &files.key].map(|path| {
        let facts = fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    })
}

fn read(files: &TlsFiles) -> io::Result<Arc<ServerConfig>> {
    let unusable = |path: &Path, error: &dyn std::error::Error| {
        io::Error::other(format!("{}: {error}", path.display()))
    };
    let cert = |error| unusable(&files.cert, &error);
    let chain = CertificateDer::pem_file_iter(&files.cert).map_err(cert)?;
    let chain: Result<Vec<_>, _> = chain.collect();
    let key = PrivateKeyDer::from_pem_file(&files.key);
    let key = key.map_err(|error| unusable(&files.key, &error))?;

    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = builder.with_no_client_auth().with_single_cert(chain.map_err(cert)?, key);
    let mut config = config.map_err(|error| unusable(&files.cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
