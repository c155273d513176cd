//! A simulated engine in a folder, which holds its objects, the orders of tests, and the calls that it got.
//!
//! The scripted runtime uses it from any number of processes; tests look at it and give it orders. Like a real engine it
//! lives longer than all of them. It knows nothing of wharf but uid and host id, as labels.
//!
//! ```text
//! instance        which engine answers now; objects belong to the instance that made them
//! down            exists while the engine does not answer
//! objects/ID      one file each, replaced as a whole
//! late/N          what was asked and has no effect yet
//! orders/N        what the next calls are to do
//! calls           a line for each call
//! lock            held over every read-modify-write
//! ```
#![forbid(unsafe_code)]
mod order;

pub use order::{Act, Flaw, Order};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The engine in a folder.
#[derive(Clone, Debug)]
pub struct Engine {
    root: PathBuf,
}

/// The state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Made, and never started.
    Created,
    /// Running.
    Running,
    /// Ended.
    Stopped,
    /// Going away.
    Removing,
    /// A state that the SDK has no name for.
    Unknown,
}

/// Something that the engine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its id in the engine.
    pub id: String,
    /// The instance that made it: no other one has it.
    pub instance: String,
    /// The label with the workload's uid.
    pub uid: String,
    /// The label with the host's id.
    pub host_id: String,
    /// The workload's name.
    pub name: String,
    /// Other labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub state: State,
    /// Its exit code, once it has ended.
    pub exit: Option<i32>,
}

/// An effect that a slow engine has not performed yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// There is this object.
    Made(Object),
    /// This object has ended.
    Ended(String),
}

/// A call that reached the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The runtime through which it came.
    pub runtime: String,
    /// The operation.
    pub operation: String,
    /// About which workload; empty where it is about all.
    pub uid: String,
}

impl Engine {
    /// The engine in this folder, which may not exist: then it does not answer.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A new, empty engine.
    pub fn create(root: impl Into<PathBuf>, instance: &str) -> io::Result<Self> {
        let engine = Self::at(root);
        for folder in [engine.objects_dir(), engine.root.join("late"), engine.root.join("orders")] {
            fs::create_dir_all(folder)?;
        }
        engine.set_instance(instance)?;
        Ok(engine)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the objects, for watching it.
    pub fn objects_dir(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The instance of the engine. An error of kind `NotFound` if there is no engine.
    pub fn instance(&self) -> io::Result<String> {
        match self.root.join("down").try_exists()? {
            true => Err(io::ErrorKind::NotFound.into()),
            false => fs::read_to_string(self.root.join("instance")),
        }
    }

    /// Puts another engine behind this endpoint, or the first one back.
    pub fn set_instance(&self, instance: &str) -> io::Result<()> {
        self.replace(&self.root.join("instance"), instance.as_bytes())
    }

    /// Whether it answers.
    pub fn set_down(&self, down: bool) -> io::Result<()> {
        let path = self.root.join("down");
        if down { self.replace(&path, b"") } else { fs::remove_file(path) }
    }

    /// All objects, of whichever instance and host, by id.
    pub fn objects(&self) -> io::Result<Vec<Object>> {
        let mut objects: Vec<Object> = read_all(&self.objects_dir())?;
        objects.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(objects)
    }

    /// The object with this id that the present instance has.
    pub fn object(&self, id: &str) -> io::Result<Option<Object>> {
        let instance = self.instance()?;
        let found: Option<Object> = read(&self.objects_dir().join(id))?;
        Ok(found.filter(|object| object.instance == instance))
    }

    /// Makes an object. An error of kind `AlreadyExists`: there is one with this id.
    pub fn make(&self, object: &Object) -> io::Result<()> {
        let _lock = self.lock()?;
        let path = self.objects_dir().join(&object.id);
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.replace(&path, &serde_json::to_vec(object)?)
    }

    /// Changes an object, if it is still there.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Object)) -> io::Result<()> {
        let _lock = self.lock()?;
        let path = self.objects_dir().join(id);
        let Some(mut object) = read(&path)? else { return Ok(()) };
        change(&mut object);
        self.replace(&path, &serde_json::to_vec(&object)?)
    }

    /// Lets an object end, if it runs.
    pub fn end(&self, id: &str, code: i32) -> io::Result<()> {
        self.change(id, |object| {
            if object.state == State::Running {
                (object.state, object.exit) = (State::Stopped, Some(code));
            }
        })
    }

    /// Removes an object. One that is not there: success.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        missing_is_none(fs::remove_file(self.objects_dir().join(id))).map(drop)
    }

    /// Keeps an effect for later.
    pub fn postpone(&self, effect: &Effect) -> io::Result<()> {
        self.add("late", &serde_json::to_vec(effect)?)
    }

    /// Does all that was asked and postponed.
    pub fn catch_up(&self) -> io::Result<()> {
        for path in numbered(&self.root.join("late"))? {
            match read(&path)? {
                Some(Effect::Made(object)) => self.make(&object)?,
                Some(Effect::Ended(id)) => self.end(&id, 0)?,
                None => {}
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Gives an order; the first one that fits a call is obeyed.
    pub fn order(&self, order: &Order) -> io::Result<()> {
        self.add("orders", &serde_json::to_vec(order)?)
    }

    /// Takes all orders back.
    pub fn clear_orders(&self) -> io::Result<()> {
        let _lock = self.lock()?;
        numbered(&self.root.join("orders"))?.into_iter().try_for_each(fs::remove_file)
    }

    /// Notes a call, and returns the act that it must perform.
    pub fn called(&self, call: &Call) -> io::Result<Option<Act>> {
        let _lock = self.lock()?;
        let mut line = serde_json::to_vec(call)?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(self.root.join("calls"))?.write_all(&line)?;
        for path in numbered(&self.root.join("orders"))? {
            let Some(order) = read::<Order>(&path)?.filter(|order| order.fits(call)) else { continue };
            if order.once {
                fs::remove_file(path)?;
            }
            return Ok(Some(order.act));
        }
        Ok(None)
    }

    /// The calls until now.
    pub fn calls(&self) -> io::Result<Vec<Call>> {
        let text = missing_is_none(fs::read_to_string(self.root.join("calls")))?.unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
    }

    fn lock(&self) -> io::Result<File> {
        let file = OpenOptions::new().create(true).append(true).open(self.root.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// A numbered file in a folder, behind those that are there.
    fn add(&self, folder: &str, bytes: &[u8]) -> io::Result<()> {
        let _lock = self.lock()?;
        let folder = self.root.join(folder);
        let next = numbered(&folder)?.last().and_then(|path| number(path)).map_or(0, |last| last + 1);
        self.replace(&folder.join(next.to_string()), bytes)
    }

    /// Replaces a file as a whole. Watchers are notified by the rename.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }
}

fn missing_is_none<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = missing_is_none(fs::read(path))?;
    bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from)).transpose()
}

fn read_all<T: DeserializeOwned>(folder: &Path) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        found.extend(read(&entry?.path())?);
    }
    Ok(found)
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

/// The numbered files of a folder, in order.
fn numbered(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort_by_key(|path| number(path));
    Ok(paths)
}
