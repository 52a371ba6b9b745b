//! Migration of a server's database, and refusals of one that is not migrated.

use errand_testkit::Sandbox;
use errand_testkit::postgres::Database;

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_errand"))
}

#[test]
fn a_database_is_migrated_once_and_refused_before() {
    let (sandbox, database) = (sandbox(), Database::empty());
    let url = database.url();
    let up = ["up", "--listen", "127.0.0.1:0", "--database", &url];
    drop(sandbox.errand(up).run().refuses(125, "`errand migrate"));
    let migrate = ["migrate", "--database", &url];
    let made = sandbox.errand(migrate).run().ok().stdout();
    assert_eq!(made, "migrated from schema 0 to 4\n");
    let again = sandbox.errand(migrate).run().ok().stdout();
    assert_eq!(again, "schema 4 is up to date\n");
    database.psql("INSERT INTO errand_migrations (version, name) VALUES (99, 'later')");
    drop(sandbox.errand(migrate).run().refuses(125, "the database has schema 99"));
    drop(sandbox.errand(up).run().refuses(125, "the database has schema 99"));
}

#[test]
fn a_wrong_database_url_is_reported_without_its_password() {
    let sandbox = sandbox();
    for (url, code, complaint) in [
        ("mysql://ann:hush@h/d", 2, "it does not begin with postgres://"),
        ("postgres://ann:hush@h:port/d", 2, "the database's URL is wrong"),
        ("postgres://ann:hush@/d", 2, "it names no host"),
        ("postgres://ann:hush@127.0.0.1:1/d", 125, "cannot reach postgres://ann@127.0.0.1:1/d"),
    ] {
        let refused = sandbox.errand(["migrate", "--database", url]).run().refuses(code, complaint);
        assert!(!refused.describe().replace(url, "").contains("hush"), "{}", refused.describe());
    }
}
