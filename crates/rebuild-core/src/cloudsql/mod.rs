//! The Cloud SQL backend: the instance around a database.
//!
//! The database itself is PostgreSQL's, and everything that backend does is done through a connection to
//! it. What only the Admin API can do is here: backups of the instance, exports to a bucket, what is to
//! be known of an instance before anything in it is touched.

mod asked;
mod backup;
mod bucket;
mod copy;
mod create;
mod databases;
mod export;
mod exported;
mod facts;
mod grant;
mod insert;
mod instance;
mod name;
mod operation;
mod overwrite;
mod proxy;
mod reach;
mod replace;
mod replicas;
mod restore;
mod runs;
mod taken;
mod users;

pub use backup::{Besides, InstanceBackup};
pub use bucket::BucketPath;
pub use copy::InstanceCopy;
pub use create::InstanceOrder;
pub use databases::DropByApi;
pub use export::Export;
pub use exported::ObjectInBucket;
pub use instance::CloudSql;
pub use name::InstanceName;
pub use reach::{Entry, Way};
pub use replace::{
    InstanceChanges, InstanceLock, InstanceMaker, InstanceProvision, InstanceReplacement,
    InstanceTeardown,
};
pub use restore::{InstanceRestore, InstanceRestored, Replicas, RestoreOutlook};
pub use users::{InstanceUser, UserLogin, UsersFirst};
