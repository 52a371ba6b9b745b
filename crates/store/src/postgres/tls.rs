//! Encryption of connections, as `sslmode` and `sslrootcert` say.
//!
//! The words mean the same as for PostgreSQL's own clients: `disable`, `prefer` (the default) and
//! `require` check no certificate unless `sslrootcert` names the accepted authorities; `verify-ca`
//! and `verify-full` always check it.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Error;

/// File in which Debian keeps the certificates of trusted authorities.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Certificates that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    verifies: bool,
    roots: Option<PathBuf>,
}

impl Tls {
    /// Removes the parameters about certificates from a URL. Returns the rest, for the driver.
    pub(super) fn split_off(url: &str) -> Result<(String, Self), Error> {
        let Some((before, query)) = url.split_once('?') else {
            return Ok((url.to_owned(), Self::default()));
        };
        let mut tls = Self::default();
        let mut rest = Vec::new();
        for part in query.split('&') {
            match part.split_once('=') {
                Some(("sslmode", "verify-ca" | "verify-full")) => {
                    tls.verifies = true;
                    rest.push("sslmode=require");
                }
                Some(("sslrootcert", path)) => {
                    tls.verifies = true;
                    tls.roots = Some(PathBuf::from(path));
                }
                Some(("sslmode", mode)) if !["disable", "prefer", "require"].contains(&mode) => {
                    let reason = "sslmode is one of disable, prefer, require, verify-ca, \
                         verify-full";
                    return Err(Error::Address { reason: reason.to_owned() });
                }
                Some(_) | None => rest.push(part),
            }
        }
        let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        Ok((format!("{before}{query}"), tls))
    }

    /// Returns the connector for encrypted connections.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Address { reason: error.to_string() })?;
        let config = if self.verifies {
            builder.with_root_certificates(self.roots()?).with_no_client_auth()
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth()
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let path = self.roots.clone().unwrap_or_else(|| PathBuf::from(TRUSTED));
        let unreadable = |error: &dyn std::fmt::Display| Error::Address {
            reason: format!("its certificates in {} cannot be read: {error}", path.display()),
        };
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(&path).map_err(|error| unreadable(&error))?
        {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
        Ok(roots)
    }
}

/// Accepts every certificate: the traffic is encrypted, but the server's identity is not proved.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_parameters_are_removed_from_the_url() {
        let of = |url| Tls::split_off(url).unwrap();
        assert_eq!(of("postgres://h/d"), ("postgres://h/d".to_owned(), Tls::default()));
        let (url, tls) = of("postgres://h/d?sslmode=verify-full&sslrootcert=/ca.pem&user=a");
        assert_eq!(url, "postgres://h/d?sslmode=require&user=a");
        assert_eq!(tls, Tls { verifies: true, roots: Some(PathBuf::from("/ca.pem")) });
        assert!(Tls::split_off("postgres://h/d?sslmode=maybe").is_err());
    }
}
