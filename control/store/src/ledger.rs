//! Port: the facts that must not be lost or disagree. One trait a subject; [`Ledger`] is all of
//! them. Typed methods, each one transaction: not a key-value store.

mod accounts;
mod catalog;
mod fill;
mod fleet;
mod identity;
mod keys;
mod routes;

pub use accounts::{
    AccountRow, AccountsLedger, NewAccountRow, NewRefreshRow, ProfileRemoval, ProfileRow, Rotation,
    SessionRow, Standing, SubscriptionRow, TokenHash,
};
pub use catalog::{CatalogLedger, TitleRow};
pub use fill::{FillLedger, PlanPut};
pub use fleet::{
    ApplianceMade, ApplianceRow, DrainBy, FleetLedger, IspKeyRow, KeyHash, MaintenanceRow,
};
pub use identity::{CertificateRow, Fingerprint, IdentityLedger, Registered, RegistrationKeyRow};
pub use keys::{KeyPurpose, KeysLedger, RevocationRow, SigningKeyRow};
pub use routes::{AskedBy, Edited, RouteEdit, RoutesLedger, RoutesSaid};

/// Everything strong. Take `Arc<dyn Ledger>`: the methods of all sub-traits are callable on it.
pub trait Ledger: MembersLedger + CatalogLedger + FleetLedger + FillLedger + RoutesLedger {}

impl<T: MembersLedger + CatalogLedger + FleetLedger + FillLedger + RoutesLedger> Ledger for T {}

/// The part that says who members are and what they pay for. A press of play waits for nothing else
/// of the ledger.
pub trait MembersLedger: AccountsLedger + KeysLedger {}

impl<T: AccountsLedger + KeysLedger> MembersLedger for T {}
