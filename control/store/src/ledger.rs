//! Port: the facts that must not be lost or disagree. One trait a subject; [`Ledger`] is all of
//! them. Typed methods, each one transaction: not a key-value store.

mod accounts;
mod catalog;
mod fill;
mod fleet;
mod keys;

pub use accounts::{
    AccountRow, AccountsLedger, NewAccountRow, NewRefreshRow, ProfileRemoval, ProfileRow, Rotation,
    SessionRow, Standing, SubscriptionRow, TokenHash,
};
pub use catalog::{CatalogLedger, TitleRow};
pub use fill::{FillLedger, PlanPut};
pub use fleet::{ApplianceMade, ApplianceRow, FleetLedger, IspKeyRow, KeyHash};
pub use keys::{KeyPurpose, KeysLedger, RevocationRow, SigningKeyRow};

/// Everything strong. Take `Arc<dyn Ledger>`: the methods of all sub-traits are callable on it.
pub trait Ledger: AccountsLedger + CatalogLedger + FleetLedger + FillLedger + KeysLedger {}

impl<T: AccountsLedger + CatalogLedger + FleetLedger + FillLedger + KeysLedger> Ledger for T {}
