//! Byte streams of plugins: copied ones and descriptors.
use std::{
    fs::File,
    io::{Read, Write},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wharf_runtimes::{Plugins, RawStream};
use wharf_sdk::LogOptions;
use wharf_tests::{HOST_ID, Rack, Records, handle};

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

fn copied(stream: RawStream) -> (Reader, Writer) {
    match stream {
        RawStream::Copied { reader, writer } => (reader, writer),
        RawStream::Descriptors { .. } => panic!("a copied stream"),
    }
}

async fn attach(host: &Plugins, uid: &str, told: &str) -> RawStream {
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    runtime.attach(&handle(uid, &[("attach", told)])).await.unwrap()
}

#[tokio::test]
async fn closing_one_direction_leaves_the_other_open() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let (mut reader, mut writer) = copied(attach(&host, "half", "echo").await);
    writer.write_all(b"first ").await.unwrap();
    let mut first = [0; 6];
    reader.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first ");
    writer.write_all(b"last").await.unwrap();
    drop(writer);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "last");
}

#[tokio::test]
async fn much_data_comes_through_whole_and_in_order() {
    const BYTES: usize = 4 * 1024 * 1024;
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let (mut reader, mut writer) = copied(attach(&host, "much", "echo").await);
    let sent: Vec<u8> = (0..BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let mut received = Vec::new();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let (read, ()) = tokio::join!(reader.read_to_end(&mut received), write);
    assert_eq!(read.unwrap(), BYTES);
    assert!(sent == received);
}

#[tokio::test]
async fn a_writer_that_outruns_the_reader_is_held_up() {
    /// All buffers on the way: two of 256 KiB here, two queues of eight chunks of 64 KiB there, chunks in hands.
    const BUFFERED: usize = 2 * 1024 * 1024;
    const BYTES: usize = 16 * 1024 * 1024;
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let (mut reader, mut writer) = copied(attach(&host, "outrun", "echo").await);
    let written = std::cell::Cell::new(0);
    let write = async {
        let chunk = vec![b'x'; 64 * 1024];
        while written.get() < BYTES {
            writer.write_all(&chunk).await.unwrap();
            written.set(written.get() + chunk.len());
        }
        drop(writer);
    };
    let read = async {
        let mut chunk = vec![0; 64 * 1024];
        let (mut total, mut most) = (0, 0);
        loop {
            // A slow reader: a writer that could write more has time to do so.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            most = most.max(written.get() - total);
            match reader.read(&mut chunk).await.unwrap() {
                0 => return (total, most),
                read => total += read,
            }
        }
    };
    let ((total, most), ()) = tokio::join!(read, write);
    assert_eq!(total, BYTES);
    assert!(most <= BUFFERED, "{most} bytes were under way");
}

#[tokio::test]
async fn a_stream_without_end_is_read_no_further_than_asked_and_ends_with_its_reader() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let stream = runtime.logs(&handle("flood", &[("logs", "flood")]), LogOptions::default()).await.unwrap();
    let (mut reader, writer) = copied(stream);
    let mut some = vec![0; 100_000];
    reader.read_exact(&mut some).await.unwrap();
    drop((reader, writer));
    assert!(runtime.instance().await.is_ok());
}

#[tokio::test]
async fn a_silent_stream_ends_when_its_reader_goes_away() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("silent");
    let host = rack.host();
    let stream = attach(&host, "silent", "silent").await;
    drop(stream);
    records.wait_for("reader dropped").await;
}

#[tokio::test]
async fn a_stream_that_breaks_does_not_look_like_one_that_ended() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    for (told, said) in [
        ("reader-panics", "the plugin panicked: told to panic in the reader"),
        ("reader-breaks", "reading from the workload: told to break"),
    ] {
        let (mut reader, _writer) = copied(attach(&host, "breaks", told).await);
        let mut text = String::new();
        let error = reader.read_to_string(&mut text).await.unwrap_err();
        assert_eq!(error.to_string(), said);
        let mut rest = [0; 5];
        let (mut reader, _writer) = copied(attach(&host, "breaks", told).await);
        reader.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"line\n", "what came before it is not lost");
    }
    assert!(host.connect("alpha", None, HOST_ID).await.unwrap().instance().await.is_ok());
}

#[tokio::test]
async fn writing_to_a_stream_without_a_writer_is_an_error() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let (_reader, mut writer) = copied(attach(&host, "read-only", "nothing").await);
    let chunk = vec![0; 64 * 1024];
    let mut outcome = Ok(());
    // The first bytes may still find room in a buffer.
    for _ in 0..100 {
        outcome = writer.write_all(&chunk).await;
        if outcome.is_err() {
            break;
        }
    }
    assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn descriptors_are_handed_over_and_the_host_holds_the_only_ones() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("descriptors");
    let host = rack.host();
    let stream = attach(&host, "descriptors", "descriptors").await;
    let RawStream::Descriptors { reader: Some(reader), writer: Some(writer) } = stream else {
        panic!("descriptors");
    };
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    let mut writer = File::from(writer);
    writer.write_all(b"bye").unwrap();
    drop(writer);
    // Its reader there sees the end only when no other copy of the writer is left.
    records.wait_for("input ended (true) after 'bye'").await;
}

#[tokio::test]
async fn a_writer_that_never_completes_goes_once_nobody_holds_its_stream() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("deaf");
    let host = rack.host();
    // Without bytes on the way, with some in the plugin, and with so many that every buffer is full.
    for (uid, chunks) in [("deaf-0", 0), ("deaf-1", 1), ("deaf-2", usize::MAX)] {
        let (reader, mut writer) = copied(attach(&host, uid, "deaf").await);
        let chunk = vec![0; 64 * 1024];
        for _ in 0..chunks {
            // If the write does not end within this time, all buffers are full.
            let write = tokio::time::timeout(std::time::Duration::from_secs(1), writer.write_all(&chunk));
            if write.await.is_err() {
                break;
            }
        }
        drop(writer);
        drop(reader);
        records.wait_for(&format!("{uid}: reader dropped")).await;
        records.wait_for(&format!("{uid}: writer dropped")).await;
    }
}

#[tokio::test]
async fn descriptors_that_are_no_stream_are_refused() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let error = runtime.attach(&handle("folder", &[("attach", "folder")])).await.err().unwrap().to_string();
    assert!(error.starts_with("the plugin's answer to 'attach' makes no sense: it hands over"), "{error}");
    assert!(error.ends_with("which is neither a pipe nor a socket"), "{error}");
    assert!(runtime.instance().await.is_ok());
}
