//! Encrypted connections, against a server behind a proxy that speaks TLS for it. What `sslmode` means
//! word by word is tested beside `src/tls.rs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use taskflow_postgres::{OpenError, Options, PoolMode, PostgresStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::config::Host;
use tokio_rustls::TlsAcceptor;

use crate::databases::{Databases, url_of};

/// Who signs, and for whom.
struct Authority {
    pem: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &std::path::Path, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = folder.join(name);
        let certificate = params.self_signed(&key).expect("signs");
        std::fs::write(&pem, certificate.pem()).expect("writes");
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Answers `SSLRequest` with yes and goes on in TLS, or with no and ends: PostgreSQL's documentation,
/// "Message Flow", SSL Session Encryption. Counts what it encrypted.
async fn serve(acceptor: Option<TlsAcceptor>, encrypted: Arc<AtomicUsize>) -> u16 {
    let server: tokio_postgres::Config = url_of("x").parse().expect("a URL");
    let Some(Host::Tcp(host)) = server.get_hosts().first().cloned() else {
        panic!("TEST_DATABASE_URL must name a TCP host")
    };
    let port = server.get_ports().first().copied().unwrap_or(5432);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let own = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, host, encrypted) = (acceptor.clone(), host.clone(), encrypted.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                let Some(acceptor) = acceptor else { return client.write_all(b"N").await };
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                encrypted.fetch_add(1, Ordering::SeqCst);
                let mut server = TcpStream::connect((host, port)).await?;
                copy_bidirectional(&mut client, &mut server).await?;
                Ok(())
            });
        }
    });
    own
}

/// The database's URL, through the proxy.
fn through(url: &str, host: &str, port: u16, query: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (user, database) = rest.split_once('@').expect("a user");
    let database = database.rsplit_once('/').expect("a database").1;
    let database = database.split('?').next().unwrap_or(database);
    format!("{scheme}://{user}@{host}:{port}/{database}?{query}")
}

async fn open(url: String) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(Options { url, pool_size: 2, pool_mode: PoolMode::Session }).await
}

#[tokio::test]
async fn a_connection_is_encrypted_and_the_server_proves_who_it_is() {
    let (_held, name) = Databases(PoolMode::Session).named().await;
    let database = url_of(&name);
    let folder = tempfile::tempdir().expect("a folder");
    let known = Authority::new(folder.path(), "known.pem");
    let other = Authority::new(folder.path(), "other.pem");
    let encrypted = Arc::new(AtomicUsize::new(0));
    let good = serve(Some(known.acceptor("localhost")), encrypted.clone()).await;
    let trusting = |authority: &Authority| {
        format!("sslmode=verify-full&sslrootcert={}", authority.pem.display())
    };

    for query in [String::new(), "sslmode=require".into(), trusting(&known)] {
        let before = encrypted.load(Ordering::SeqCst);
        let opened = open(through(&database, "localhost", good, &query)).await;
        assert!(opened.is_ok(), "{query}: {:?}", opened.err());
        assert!(encrypted.load(Ordering::SeqCst) > before, "{query} was not encrypted");
    }

    let unknown = open(through(&database, "localhost", good, &trusting(&other))).await;
    assert!(matches!(unknown, Err(OpenError::Handshake(_))), "{:?}", unknown.err());
    let another_name = open(through(&database, "127.0.0.1", good, &trusting(&known))).await;
    assert!(matches!(another_name, Err(OpenError::Handshake(_))), "{:?}", another_name.err());
    let plain = serve(None, encrypted).await;
    let stripped = open(through(&database, "localhost", plain, "sslmode=require")).await;
    assert!(matches!(stripped, Err(OpenError::Handshake(_))), "{:?}", stripped.err());
}
