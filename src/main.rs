fn main() {
    let file = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let env: Vec<_> = std::env::vars().collect();
    match trunkline::config::load(&file, &env) {
        Ok(loaded) => {
            if let Err(e) = trunkline::server::run(loaded, file) {
                eprintln!("{e}");
            }
        }
        Err(p) => {
            for p in p {
                eprintln!("{p}");
            }
        }
    }
}
