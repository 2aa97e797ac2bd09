//! A fresh store for one test, on SQLite or on PostgreSQL.

use airlock::{
    config::DatabaseUrl,
    store::{Place, Store},
};
use tempfile::TempDir;

use super::postgres::{PostgresServer, fresh_database};

/// Where a test has its store.
pub struct Database {
    place: Place,
    _folder: Option<TempDir>,
}

impl Database {
    /// A file in a folder of its own.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { place: Place::Folder(folder.path().join("data")), _folder: Some(folder) }
    }

    /// A database on the server of this process. `None`: there is no PostgreSQL here, and that was said.
    pub async fn postgres() -> Option<Self> {
        fresh_database().await.as_deref().map(Self::at)
    }

    /// A database on a server of the test's own.
    pub async fn on(server: &PostgresServer) -> Self {
        Self::at(&server.fresh().await)
    }

    /// A database with this address.
    pub fn at(url: &str) -> Self {
        Self { place: Place::Server(url.parse().unwrap()), _folder: None }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its address, where it is on a server.
    pub fn url(&self) -> Option<&DatabaseUrl> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Server(url) => Some(url),
        }
    }

    /// Opens the store in it.
    pub async fn open(&self) -> Store {
        Store::open(self.place.clone()).await.unwrap()
    }
}

/// Makes two tests of each of these functions, which take a [`Database`].
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::Database::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(database) = $crate::Database::postgres().await {
                    super::$name(database).await;
                }
            })+
        }
    };
}
