//! Checks of a stream to a program that writes back what it reads. Called by the cases about attached stdio and about
//! connections to ports; it does not know how the stream was opened.
use super::breach::{Breach, Checked, ensure};
use super::subject::Pipe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Lines must come back as they were written, one after the other.
pub(super) async fn both_ways(mut pipe: Pipe) -> Checked {
    for line in ["first\n", "second, with \u{e4} and \0\n"] {
        pipe.writer.write_all(line.as_bytes()).await.map_err(|error| broke(&error))?;
        pipe.writer.flush().await.map_err(|error| broke(&error))?;
        let mut back = vec![0; line.len()];
        pipe.reader.read_exact(&mut back).await.map_err(|error| broke(&error))?;
        ensure(back == line.as_bytes(), || {
            format!("{line:?} comes back as {:?}", String::from_utf8_lossy(&back))
        })?;
    }
    Ok(())
}

/// Sends more than all buffers hold to a reader that begins late; everything must come back.
pub(super) async fn slow_reader(pipe: Pipe) -> Checked {
    const BYTES: usize = 4 * 1024 * 1024;
    let Pipe { mut reader, mut writer } = pipe;
    let sent: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let write = async {
        writer.write_all(&sent).await.map_err(|error| broke(&error))?;
        writer.flush().await.map_err(|error| broke(&error))
    };
    let mut back = vec![0; BYTES];
    let read = async {
        // By now all buffers are full.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        reader.read_exact(&mut back).await.map_err(|error| broke(&error))
    };
    tokio::try_join!(write, read)?;
    ensure(back == sent, || format!("{BYTES} bytes come back changed"))
}

/// Closes the writing side: the program must end, and its last line must still arrive.
pub(super) async fn half_close(pipe: Pipe) -> Checked {
    let Pipe { mut reader, mut writer } = pipe;
    writer.write_all(b"last\n").await.map_err(|error| broke(&error))?;
    writer.shutdown().await.map_err(|error| broke(&error))?;
    drop(writer);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.map_err(|error| broke(&error))?;
    ensure(rest == b"last\n", || format!("then comes {:?}", String::from_utf8_lossy(&rest)))
}

pub(super) fn broke(error: &std::io::Error) -> Breach {
    Breach(format!("the stream breaks off: {error}"))
}
