//! The chain of the audit trail: each row carries the hash of the one before, so that none can be changed, removed or put
//! in between without breaking every later one.

use sha2::{Digest, Sha256};

use crate::registry::AuditRow;

/// A link of the chain: SHA-256.
pub type Link = [u8; 32];

/// What the first row follows.
pub const START: Link = [0; 32];

/// The hash of a row: of the one before, of its number, and of every field with its length.
#[must_use]
pub fn hash(prev: &Link, id: i64, row: &AuditRow) -> Link {
    let mut hasher = Sha256::new();
    hasher.update(prev);
    hasher.update(id.to_be_bytes());
    hasher.update(row.at.as_millis().to_be_bytes());
    let address = row.address.as_deref().unwrap_or_default();
    for text in [row.actor.as_str(), &row.role, address, &row.action, &row.target, &row.detail] {
        // A text that ends later than it did would otherwise read like its neighbour.
        hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

/// A stored row with its place in the chain. Rows from before there was a chain have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    /// Its number: 1, 2, 3 …, some may be missing where a commit came to nothing.
    pub id: i64,
    /// The row.
    pub row: AuditRow,
    /// Hash of the row before and of this one.
    pub links: Option<(Link, Link)>,
}
