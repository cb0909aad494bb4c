//! Tokens and what they allow.
//!
//! A token is `bw_SCOPE_ID_SECRET`. The store keeps its SHA-256 only; secrets have 192 random bits, so a fast digest is
//! enough. Comparison takes the same time whatever is wrong.

use anyhow::{Result, anyhow, bail};
use sha2::{Digest, Sha256};
use store::{Store, StoredToken};
use subtle::ConstantTimeEq;
use types::{DAY, JournalEntry, JournalKind};

use crate::state::now;

/// What a token may do. Each scope but `ingest` holds those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send telemetry, and nothing else.
    Ingest,
    /// Ask.
    Read,
    /// Ask, acknowledge, resolve, tell of changes.
    Write,
    /// Everything.
    Admin,
}

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: health, the interface's files.
    Public,
    /// To send telemetry.
    Ingest,
    /// To ask.
    Read,
    /// To change incidents and tell of changes.
    Write,
    /// To administer.
    Admin,
}

impl Scope {
    /// Reads a scope's name.
    pub fn parse(text: &str) -> Option<Scope> {
        match text {
            "ingest" => Some(Scope::Ingest),
            "read" => Some(Scope::Read),
            "write" => Some(Scope::Write),
            "admin" => Some(Scope::Admin),
            _ => None,
        }
    }

    /// Whether it is enough.
    pub fn allows(self, permission: Permission) -> bool {
        match permission {
            Permission::Public => true,
            Permission::Ingest => matches!(self, Scope::Ingest | Scope::Write | Scope::Admin),
            Permission::Read => matches!(self, Scope::Read | Scope::Write | Scope::Admin),
            Permission::Write => matches!(self, Scope::Write | Scope::Admin),
            Permission::Admin => self == Scope::Admin,
        }
    }
}

impl Permission {
    /// The name of the smallest scope that has it.
    pub fn name(self) -> &'static str {
        match self {
            Permission::Public => "public",
            Permission::Ingest => "ingest",
            Permission::Read => "read",
            Permission::Write => "write",
            Permission::Admin => "admin",
        }
    }
}

/// Makes a token; the text is returned once and kept nowhere. `days` 0 means that it does not expire.
pub async fn create_token(store: &Store, scope: &str, name: &str, days: u32) -> Result<String> {
    let Some(_) = Scope::parse(scope) else { bail!("no scope {scope:?}") };
    let (id, secret) = (random_hex(6)?, random_hex(24)?);
    let text = format!("bw_{scope}_{id}_{secret}");
    let at = now();
    let token = StoredToken {
        id: id.clone(),
        name: name.to_owned(),
        digest: digest(&text),
        scopes: scope.to_owned(),
        tenant: None,
        created_at: at,
        expires_at: (days > 0).then(|| at.plus(i64::from(days) * DAY)),
        revoked_at: None,
    };
    store.put_token(token).await?;
    let data = serde_json::json!({"made": id, "scope": scope});
    store.append_journal(JournalEntry { at, kind: JournalKind::Access, subject: id, data, text: None }).await?;
    Ok(text)
}

/// A first administrator's token, where one is needed and the folder has none.
pub async fn first_token(store: &Store, needed: bool) -> Result<Option<String>> {
    if !needed || !store.tokens().await?.is_empty() {
        return Ok(None);
    }
    create_token(store, "admin", "first", 0).await.map(Some)
}

/// The token that this text is, if it holds now.
pub fn find<'a>(tokens: &'a [StoredToken], text: &str) -> Option<&'a StoredToken> {
    let id = text.strip_prefix("bw_")?.split('_').nth(1)?;
    let known = tokens.iter().find(|t| t.id == id)?;
    let same: bool = digest(text).ct_eq(&known.digest).into();
    let holds = known.revoked_at.is_none() && known.expires_at.is_none_or(|e| e > now());
    (same && holds).then_some(known)
}

fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|e| anyhow!("no random numbers: {e}"))?;
    Ok(buffer.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingest_tokens_cannot_read_and_read_tokens_cannot_send() {
        assert!(Scope::Ingest.allows(Permission::Ingest) && !Scope::Ingest.allows(Permission::Read));
        assert!(Scope::Read.allows(Permission::Read) && !Scope::Read.allows(Permission::Ingest));
        assert!(!Scope::Write.allows(Permission::Admin) && Scope::Admin.allows(Permission::Admin));
    }
}
