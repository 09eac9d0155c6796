//! The benchmark `decode` as a program, see there: built beside `keytrail` it shares the compiled query engine.

#[path = "../decode.rs"]
mod decode;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    decode::main()
}
