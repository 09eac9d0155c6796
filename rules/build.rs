//! The packs are part of the program: a file that is added to them is a reason to build again.

fn main() {
    println!("cargo::rerun-if-changed=pack");
}
