//! What is exchanged for a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rcgen::SigningKey;
use serde_json::Value;

use super::{Access, CLIENT_ID};

/// The principal, or the error's name and what it says.
type Granted = Result<String, (&'static str, String)>;

impl Access {
    /// <https://datatracker.ietf.org/doc/html/rfc6749#section-6>
    pub(super) fn refreshed<'a>(&self, field: impl Fn(&str) -> &'a str) -> Granted {
        if field("client_id") != CLIENT_ID || field("client_secret") != self.client_secret {
            return Err((
                "invalid_client",
                "The OAuth client was not found.".to_owned(),
            ));
        }
        let known = self.refresh_tokens.get(field("refresh_token"));
        known.cloned().ok_or_else(|| {
            let said = "Token has been expired or revoked.";
            ("invalid_grant", said.to_owned())
        })
    }

    /// <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>
    pub(super) fn asserted(&self, assertion: &str, audience: &str) -> Granted {
        self.read_assertion(assertion, audience)
            .ok_or_else(|| ("invalid_grant", "Invalid JWT Signature.".to_owned()))
    }

    fn read_assertion(&self, assertion: &str, audience: &str) -> Option<String> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (_, claims) = signed.split_once('.')?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let principal = claims["iss"].as_str()?;
        // A signature of this kind has nothing random in it: made again it is the same.
        let expected = self.keys.get(principal)?.sign(signed.as_bytes()).ok()?;
        let now = Timestamp::now().as_second();
        let in_time = claims["exp"].as_i64()? > now && claims["iat"].as_i64()? <= now + 10;
        let right = URL_SAFE_NO_PAD.decode(signature).ok()? == expected;
        // Clients name Google's own endpoint, whichever they ask.
        let meant =
            claims["aud"] == audience || claims["aud"] == "https://oauth2.googleapis.com/token";
        (right && in_time && meant).then(|| principal.to_owned())
    }
}
