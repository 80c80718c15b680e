//! Dumps and the disk of the server.

use super::*;
use crate::postgres::FreeSpace;

#[tokio::test]
async fn a_dump_does_not_fill_the_disk_of_the_server() {
    let world = World::start().await;
    let path = world.folder.path().join("t.sql");
    let sql = "create table public.t (id int);\n--\n-- PostgreSQL database dump complete\n--\n";
    std::fs::write(&path, sql).expect("a file");
    let mut dump = world.of(&path);
    dump.options.free_space = FreeSpace::told_by(|_| Some(1000));
    let e = world.restore(&dump).await.expect_err("no room");
    let said = e.chain();
    assert!(said.contains("the dump was ended"), "{said}");
    assert!(said.contains("1000 B left"), "{said}");
    world.restore(&world.of(&path)).await.expect("room");
}
