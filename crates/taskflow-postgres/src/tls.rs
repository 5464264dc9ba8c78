//! Whether a connection is encrypted and what the server must prove: `sslmode` and `sslrootcert` of the
//! URL, with libpq's words and meanings (PostgreSQL's documentation, "SSL Support"). The handshake is
//! rustls's.

use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;

/// What a URL asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The URL without what is said here.
    pub(crate) url: String,
    pub(crate) mode: SslMode,
    /// Whether the certificate must be good for the host's name.
    verified: bool,
    /// A file of trusted certificates; the system's, when none is named.
    roots: Option<PathBuf>,
}

/// Takes `sslmode` and `sslrootcert` out of a URL. Without `sslmode` a connection is encrypted when the
/// server offers it; naming trusted certificates means that they count, as in libpq.
pub(crate) fn wanted(url: &str) -> Result<Wanted, OpenError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut verified, mut roots) = (None, false, None);
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy();
        match key {
            "sslmode" => {
                (mode, verified) = match &*value {
                    "disable" => (Some(SslMode::Disable), false),
                    "prefer" => (Some(SslMode::Prefer), false),
                    "require" => (Some(SslMode::Require), false),
                    "verify-full" => (Some(SslMode::Require), true),
                    _ => return Err(OpenError::SslMode),
                }
            }
            "sslrootcert" => roots = Some(PathBuf::from(&*value)),
            _ => rest.push(pair),
        }
    }
    if roots.is_some() && !verified {
        return Err(OpenError::RootsUnused);
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    Ok(Wanted {
        url: format!("{place}{query}"),
        mode: mode.unwrap_or(SslMode::Prefer),
        verified,
        roots: roots.filter(|path| path.as_os_str() != "system"),
    })
}

/// The handshake's side of it.
pub(crate) fn connector(wanted: &Wanted) -> Result<MakeRustlsConnect, OpenError> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Tls(Box::new(error)))?;
    let config = if wanted.verified {
        builder.with_root_certificates(roots(wanted)?).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(algorithms)))
            .with_no_client_auth()
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(wanted: &Wanted) -> Result<RootCertStore, OpenError> {
    let at = wanted.roots.as_ref().map_or("the system's".into(), |path| path.display().to_string());
    let tls = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Roots {
        at: at.clone(),
        source,
    };
    let mut store = RootCertStore::empty();
    match &wanted.roots {
        Some(path) => {
            let found =
                CertificateDer::pem_file_iter(path).map_err(|error| tls(Box::new(error)))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| tls(Box::new(error)))?;
                store.add(certificate).map_err(|error| tls(Box::new(error)))?;
            }
        }
        // A certificate of the system's that cannot be read is one that cannot be trusted.
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            store.add_parsable_certificates(found);
        }
    }
    if store.is_empty() { Err(tls("there is no trusted certificate".into())) } else { Ok(store) }
}

/// `prefer` and `require`: against those who listen, not against those who answer in the server's place.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(query: &str) -> String {
        format!("postgresql://u:p@h/d{query}")
    }

    #[test]
    fn sslmode_has_the_meaning_that_libpq_gives_it() {
        for (query, mode, verified) in [
            ("", SslMode::Prefer, false),
            ("?sslmode=disable", SslMode::Disable, false),
            ("?sslmode=prefer", SslMode::Prefer, false),
            ("?sslmode=require", SslMode::Require, false),
            ("?sslmode=verify-full", SslMode::Require, true),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require, true),
        ] {
            let wanted = wanted(&url(query)).expect(query);
            assert_eq!((wanted.mode, wanted.verified), (mode, verified), "{query}");
            assert_eq!((wanted.url, wanted.roots), (url(""), None), "{query}");
        }
    }

    #[test]
    fn other_parameters_stay_and_a_path_is_decoded() {
        let query =
            "?application_name=a&sslmode=verify-full&sslrootcert=%2Fetc%2Fmy%20ca.pem&port=5433";
        let wanted = wanted(&url(query)).expect("a URL");
        assert_eq!(wanted.url, url("?application_name=a&port=5433"));
        assert_eq!(wanted.roots, Some(PathBuf::from("/etc/my ca.pem")));
    }

    #[test]
    fn nothing_is_trusted_by_mistake() {
        for query in
            ["?sslmode=verify", "?sslmode=allow", "?sslmode=verify-ca", "?sslmode=", "?sslmode"]
        {
            assert!(matches!(wanted(&url(query)), Err(OpenError::SslMode)), "{query}");
        }
        let unused = wanted(&url("?sslmode=require&sslrootcert=/ca.pem"));
        assert!(matches!(unused, Err(OpenError::RootsUnused)));
        let missing = wanted(&url("?sslmode=verify-full&sslrootcert=/nowhere")).expect("a URL");
        assert!(matches!(connector(&missing), Err(OpenError::Roots { .. })));
    }
}
