//! Brings peers to the machine, into a scratch folder.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::peers::Peer;
use crate::peers::Source;

/// A peer that can be started.
pub(crate) struct Ready {
    pub(crate) peer: &'static Peer,
    pub(crate) version: String,
    /// Its program and the first of its arguments.
    pub(crate) command: Vec<String>,
}

/// Installs what is missing; names those that cannot be had, and leaves them out.
pub(crate) fn all(peers: impl Iterator<Item = &'static Peer>, scratch: &Path) -> Vec<Ready> {
    let programs = scratch.join("peers");
    std::fs::create_dir_all(&programs).unwrap();
    let written = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/peers/.");
    run(Command::new("cp").args(["-r", "--preserve=timestamps", written]).arg(&programs)).unwrap();
    let mut ready = Vec::new();
    for peer in peers {
        match install(peer, scratch, &programs) {
            Ok(one) => {
                println!("{} {}", peer.title, one.version);
                ready.push(one);
            }
            Err(why) => println!("{} is left out: {why}", peer.title),
        }
    }
    ready
}

fn install(peer: &'static Peer, scratch: &Path, programs: &Path) -> Result<Ready, String> {
    let folder = &programs.join(peer.name);
    let (mut command, version) = match peer.source {
        Source::Ours => {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            (vec![shown(&program), "peer".to_owned()], env!("CARGO_PKG_VERSION").to_owned())
        }
        Source::Python(packages) => python(packages, &scratch.join(peer.name), folder)?,
        Source::Npm(packages) => npm(packages, folder)?,
        Source::Cargo(name, package) => cargo(package, &scratch.join(name), &programs.join(name))?,
        Source::Ruby(package, version) => ruby(package, version, &scratch.join("ruby"), folder)?,
    };
    command.extend(peer.words.iter().map(|word| (*word).to_owned()));
    Ok(Ready { peer, version, command })
}

type Installed = Result<(Vec<String>, String), String>;

fn python(packages: &[&str], environment: &Path, folder: &Path) -> Installed {
    let python = environment.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(install).args(packages))?;
    let name = packages[0].split(['[', '=']).next().unwrap();
    let ask = format!("from importlib.metadata import version; print(version('{name}'))");
    let version = run(Command::new(&python).args(["-c", &ask]))?;
    let program = shown(&folder.join("peer.py"));
    Ok((vec![shown(&python), "-W".to_owned(), "ignore".to_owned(), program], version))
}

fn npm(packages: &[&str], folder: &Path) -> Installed {
    std::fs::write(folder.join("package.json"), "{\"private\":true}").unwrap();
    let install = ["install", "--silent", "--no-audit", "--no-fund"];
    run(Command::new("npm").args(install).args(packages).current_dir(folder))?;
    let ask = format!("require('{}/package.json').version", packages[0].split('@').next().unwrap());
    let version = run(Command::new("node").args(["-p", &ask]).current_dir(folder))?;
    Ok((vec!["node".to_owned(), shown(&folder.join("peer.mjs"))], version))
}

/// The manifest has another name in the repository, so that no tool takes it for one of ours.
fn cargo(package: &str, target: &Path, folder: &Path) -> Installed {
    std::fs::copy(folder.join("Cargo.toml.in"), folder.join("Cargo.toml"))
        .map_err(|error| error.to_string())?;
    let build = ["build", "--release", "--quiet", "--target-dir"];
    run(Command::new("cargo").args(build).arg(target).current_dir(folder))?;
    let lock = std::fs::read_to_string(folder.join("Cargo.lock")).unwrap_or_default();
    let after = lock.split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    let version = after.and_then(|rest| rest.split('"').next()).unwrap_or("?").to_owned();
    Ok((vec![shown(&target.join("release/peer"))], version))
}

fn ruby(package: &str, version: &str, root: &Path, folder: &Path) -> Installed {
    let mut command = vec!["ruby".to_owned()];
    let ask = |command: &[String]| {
        run(Command::new(&command[0]).args(&command[1..]).args(["-e", version]))
    };
    let version = ask(&command).or_else(|_| {
        if !root.join("usr/bin/ruby").exists() {
            unpack(package, root)?;
        }
        command = unpacked(root)?;
        ask(&command)
    })?;
    command.push(shown(&folder.join("peer.rb")));
    Ok((command, version))
}

/// Loads a package of Debian and what it needs, and leaves the system as it is.
fn unpack(package: &str, root: &Path) -> Result<(), String> {
    let archives = root.join("archives");
    std::fs::create_dir_all(archives.join("partial")).map_err(|error| error.to_string())?;
    let folder = format!("Dir::Cache::archives={}", archives.display());
    let load = ["install", "--download-only", "--yes", "--quiet", "--no-install-recommends"];
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get").args(load).args(["-o", &folder, package]))?;
    for archive in std::fs::read_dir(&archives).map_err(|error| error.to_string())?.flatten() {
        if archive.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(archive.path()).arg(root))?;
        }
    }
    Ok(())
}

/// A Ruby that finds its libraries and packages below a folder.
fn unpacked(root: &Path) -> Result<Vec<String>, String> {
    let listed = |folders: &str| {
        let list = format!("cd \"$1\" && printf \"$1/%s:\" {folders}");
        run(Command::new("sh").args(["-c", &list, "sh"]).arg(root.join("usr")))
    };
    let ruby = listed(
        "share/rubygems-integration/all/gems/*/lib lib/ruby/vendor_ruby lib/ruby/[0-9]* \
         lib/*/ruby/vendor_ruby/* lib/*/ruby/[0-9]*",
    )?;
    Ok(vec![
        "env".to_owned(),
        format!("RUBYLIB={ruby}"),
        format!("LD_LIBRARY_PATH={}", listed("lib/*-linux-gnu*")?),
        shown(&root.join("usr/bin/ruby")),
    ])
}

fn shown(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}

/// What a program prints; else the last line that it complains with.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name}: {}", complaint.trim().lines().next_back().unwrap_or("it failed")))
}
