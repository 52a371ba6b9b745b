//! Schema versions: a database with any other version is refused.

use std::collections::BTreeSet;

use errand_model::Digest;
use errand_store::postgres::{Migrated, Options, Postgres, known_version};
use errand_store::{Error, NameStore as _};
use errand_testkit::postgres::Database;

use super::Fresh;
use crate::conformance::appending::started;

/// Statements that lead from schema 4 back to schema 3.
const BACK_TO_3: &str = "DROP INDEX names_by_digest; \
     CREATE INDEX names_by_digest ON names (digest); \
     CREATE INDEX names_of_parcels ON names (digest) WHERE is_parcel; \
     DELETE FROM errand_migrations WHERE version = 4";

/// Query for all parts of a schema, as text.
const SCHEMA_OF: &str = "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || \
     coalesce(column_default, '') || ' ' || is_nullable || ' ' || coalesce(collation_name, '') \
     FROM information_schema.columns WHERE table_schema = 'public' \
     UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
     UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal \
     UNION ALL SELECT relname || ' ' || coalesce(reloptions::text, '') || ' ' || \
     coalesce(pg_get_expr(relpartbound, oid), '') FROM pg_class WHERE relnamespace = \
     'public'::regnamespace UNION ALL SELECT proname || prosrc FROM pg_proc \
     WHERE pronamespace = 'public'::regnamespace ORDER BY 1";

#[test]
fn all_migrations_in_order_give_the_schema_of_the_file() {
    let (migrated, whole) = (Database::empty(), Database::empty());
    let to = known_version();
    assert_eq!(Postgres::migrate(&migrated.url()).unwrap(), Migrated { from: 0, to });
    assert_eq!(Postgres::migrate(&migrated.url()).unwrap(), Migrated { from: to, to });
    whole.psql(super::SCHEMA);
    migrated.psql("DROP TABLE errand_migrations");
    assert_eq!(migrated.psql(SCHEMA_OF), whole.psql(SCHEMA_OF));
}

#[tokio::test]
async fn names_of_older_runs_are_found_by_the_index_of_schema_4() {
    let fresh = Fresh::new();
    let store = fresh.open_postgres();
    for _ in 0..3 {
        started(&store).await;
    }
    drop(store);
    fresh.0.psql(BACK_TO_3);
    assert_eq!(Postgres::migrate(&fresh.0.url()).unwrap().from, 3);
    let store = fresh.open_postgres();
    let (parcel, other) = (Digest::of(b"parcel"), Digest::of(b"other"));
    let parcels = BTreeSet::from([parcel.clone()]);
    assert_eq!(store.named_parcels().await.unwrap(), parcels);
    assert_eq!(store.named(&[other, parcel]).await.unwrap(), parcels);
}

#[test]
fn a_database_with_another_schema_is_refused() {
    let database = Database::empty();
    let known = known_version();
    let refused = Postgres::open(&database.url(), Options::DEFAULT).unwrap_err();
    assert!(matches!(refused, Error::OtherSchema { found: 0, .. }), "{refused:?}");
    Postgres::migrate(&database.url()).unwrap();
    drop(Postgres::open(&database.url(), Options::DEFAULT).unwrap());
    database.psql("INSERT INTO errand_migrations (version, name) VALUES (99, 'later')");
    for refused in [
        Postgres::open(&database.url(), Options::DEFAULT).unwrap_err(),
        Postgres::migrate(&database.url()).unwrap_err(),
    ] {
        assert_eq!(
            refused.to_string(),
            format!("the database has schema 99; this program needs schema {known}")
        );
    }
}

#[test]
fn concurrent_migrations_make_one_schema() {
    let database = Database::empty();
    let migrating: Vec<_> = (0..4)
        .map(|_| {
            let url = database.url();
            std::thread::spawn(move || Postgres::migrate(&url).unwrap().from)
        })
        .collect();
    let mut from: Vec<u32> = migrating.into_iter().map(|one| one.join().unwrap()).collect();
    from.sort_unstable();
    assert_eq!(from, [0, known_version(), known_version(), known_version()]);
}
