"""Sound as recordings, against librosa's numbers and against transforms written a second time."""

import builtins

import numpy as np
import pytest
import soundfile
from scipy.fft import dct

from ostinato.data.recordings.columns import Columns
from ostinato.data.recordings.reading import are_recordings, read_recordings
from ostinato.data.recordings.sound import Sound
from ostinato.data.recordings.spectra import cepstra, hertz, log_mel, mel_filters, mels
from ostinato.errors import ConfigError, DataError, MissingPackageError

RATE = 8000
SWEEP = np.sin(2 * np.pi * (200 + 1.5 * np.arange(800)) * np.arange(800) / RATE) / 2
# librosa 0.11: power_to_db(feature.melspectrogram(y=SWEEP, sr=8000, n_fft=256, win_length=200, hop_length=80, n_mels=8,
# pad_mode="constant"), top_db=None).T[[0, 5, 10]], and feature.mfcc(S=that, n_mfcc=5)
MELS = [
    [2.3326, -5.5216, -26.4698, -32.5466, -37.1469, -41.3098, -44.9792, -47.768],
    [-80.4515, -69.1865, -45.1883, -5.7373, 4.1484, -4.9102, -56.4146, -89.9379],
    [-31.1004, -30.7134, -30.0207, -28.9413, -26.9313, -22.0382, -1.7129, -7.0601],
]
CEPSTRA = [
    [-82.5226, 45.544, 14.512, 8.4244, 1.1142],
    [-122.9227, -12.8107, -92.4225, 27.6878, 1.3157],
    [-63.1157, -26.2591, 11.9385, -2.6926, -3.3757],
]
SMALL = Sound(window_ms=25, hop_ms=10, bands=8, coefficients=5)


def read(path, how=SMALL, **more):
    return read_recordings(str(path), Columns(), labels=more.pop("labels", False), sound=how, **more)


def test_the_spectra_are_librosas():
    found = log_mel(SWEEP, RATE, window_ms=25, hop_ms=10, bands=8)
    assert found.shape == (11, 8)
    np.testing.assert_allclose(found[[0, 5, 10]], MELS, atol=1e-3)
    np.testing.assert_allclose(cepstra(found, 5)[[0, 5, 10]], CEPSTRA, atol=1e-3)
    np.testing.assert_allclose(cepstra(found, 8), dct(found, norm="ortho"), atol=1e-4)


def test_a_frame_is_the_transform_of_its_window():
    samples = np.random.default_rng(0).standard_normal(700)
    found = log_mel(samples, RATE, window_ms=20, hop_ms=12.5, bands=10)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(160) / 160)
    for frame in (1, 4):
        piece = samples[frame * 100 - 80 : frame * 100 + 80] * window
        power = np.abs(np.exp(-2j * np.pi * np.outer(np.arange(129), np.arange(160)) / 256) @ piece) ** 2
        np.testing.assert_allclose(found[frame], 10 * np.log10(mel_filters(RATE, 256, 10) @ power), atol=1e-3)


def test_the_scale_and_its_inverse():
    frequencies = np.array([0.0, 200.0, 999.0, 1000.0, 6400.0])
    np.testing.assert_allclose(mels(frequencies), [0, 3, 14.985, 15, 42], atol=1e-9)
    np.testing.assert_allclose(hertz(mels(frequencies)), frequencies, atol=1e-9)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"window_ms": 25, "hop_ms": 0.01, "bands": 8},
            "recording.hop_ms: expected a sample at least, at 8000 Hz 0.125",
        ),
        (
            {"window_ms": 5, "hop_ms": 5, "bands": 80},
            "of 80 bands are narrower than a spectrum of 64 samples at 8000 Hz",
        ),
    ],
)
def test_windows_and_bands_that_do_not_fit_the_rate(how, message):
    with pytest.raises(ConfigError, match=message):
        log_mel(SWEEP, RATE, **how)
    with pytest.raises(ConfigError, match=r"recording\.coefficients: expected at most 3"):
        cepstra(np.zeros((2, 3), np.float32), 4)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_a_file_is_a_recording_of_frames_or_samples(tmp_path, ending):
    soundfile.write(tmp_path / f"a.{ending}", SWEEP, RATE)
    assert are_recordings(str(tmp_path / f"a.{ending}"), Columns())
    found = read(tmp_path / f"a.{ending}")
    assert found.channels == tuple(f"mel{at}" for at in range(8))
    assert (found.rate, found[0].id, len(found[0])) == (RATE, f"a.{ending}", 11)
    if ending != "ogg":  # which loses what is not heard
        np.testing.assert_allclose(found[0].values[0, 0], MELS[0][0], atol=0.01)
    samples = read(tmp_path / f"a.{ending}", Sound("none"))
    assert samples.channels == ("x",)
    np.testing.assert_allclose(samples[0].values[:, 0], SWEEP, atol=1e-3 if ending != "ogg" else 0.2)
    assert read(tmp_path / f"a.{ending}", Sound("mfcc", bands=8, coefficients=5)).channels[-1] == "mfcc4"


def test_folders_of_classes_and_a_file_of_labels(tmp_path):
    for name in ("yes/a.wav", "yes/b.flac", "no/c.wav"):
        (tmp_path / "classes" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "classes" / name, SWEEP, RATE)
    assert are_recordings(str(tmp_path / "classes"), Columns())
    found = read(tmp_path / "classes", labels=True)
    assert [(each.id, each.label) for each in found.items] == [
        ("no/c.wav", "no"),
        ("yes/a.wav", "yes"),
        ("yes/b.flac", "yes"),
    ]
    for at in range(3):
        soundfile.write(tmp_path / f"{at}.wav", SWEEP, RATE)
    (tmp_path / "labels.csv").write_text("file,text,speaker\n0,go left,a\n1.wav,stop,b\n2,,b\n")
    found = read(tmp_path, labels=True)
    assert [each.label for each in found.items] == ["go left", "stop", None]


def test_files_of_another_rate_are_resampled_to_that_of_the_first(tmp_path):
    for name, rate in (("a", RATE), ("b", 2 * RATE)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "1.wav", np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate) / 2, rate)
    found = read(tmp_path, Sound("none"), labels=True)
    assert found.rate == RATE
    assert found.notes == ("recordings with 16000 samples a second are resampled to 8000",)
    first, second = (each.values[200:-200, 0] for each in found.items)
    np.testing.assert_allclose(first, second, atol=2e-3)
    assert len(read(tmp_path / "b" / "1.wav", Sound("none", rate=4000))[0]) == 2000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected sound as WAV, FLAC, OGG or MP3, which it is not, or not whole"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt nonsense", "expected sound as WAV"),
        (np.zeros((0, 1)), "has no sample"),
        (np.array([0.0, np.nan]), "sample 2 is no finite number"),
        (np.zeros((50, 2)), "expected one channel for recording.features log-mel, got 2; mix them into one"),
    ],
)
def test_broken_empty_and_stereo_files_are_told(tmp_path, content, message):
    if isinstance(content, bytes):
        (tmp_path / "a.wav").write_bytes(content)
    else:
        soundfile.write(tmp_path / "a.wav", content, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=f"a.wav: {message}"):
        read(tmp_path / "a.wav")


def test_two_channels_of_samples_are_two_channels(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([SWEEP, -SWEEP], 1), RATE, subtype="DOUBLE")
    found = read(tmp_path / "a.wav", Sound("none"))
    assert found.channels == ("x0", "x1")
    np.testing.assert_allclose(found[0].values.sum(1), 0)


def test_samples_of_an_array_have_spectra_where_their_rate_is_given(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.stack([SWEEP, -SWEEP])[:, :, None], y=np.array([[0] * 400 + [1] * 400] * 2))
    with pytest.raises(DataError, match=r"needs the samples a second, .* give --recording\.sampling_rate"):
        read(tmp_path / "a.npz", Sound("log-mel"))
    found = read(tmp_path / "a.npz", Sound("log-mel", bands=8, rate=RATE))
    np.testing.assert_allclose(found[1].values[[0, 5, 10]], MELS, atol=1e-3)
    # A frame has the label of the sample in its middle.
    assert found[0].labels == ("0",) * 5 + ("1",) * 6


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **more):
        if name == "soundfile":
            raise ModuleNotFoundError("No module named 'soundfile'", name="soundfile")
        return imported(name, *args, **more)

    soundfile.write(tmp_path / "a.wav", SWEEP, RATE)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"pip install 'ostinato\[audio\]'"):
        read(tmp_path / "a.wav")
