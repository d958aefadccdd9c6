"""Write the demo's alt texts: what a page says about a picture, from the picture's own words to none, another's, or spam."""

from typing import Literal, TypeVar

import numpy as np

T = TypeVar("T")
TextKind = Literal["specific", "generic", "missing", "random", "foreign", "spam"]
# Shares of tinyweb, a small crawl of real search words.
SHARES: dict[TextKind, float] = {"specific": 0.40, "generic": 0.25, "missing": 0.13, "random": 0.10, "foreign": 0.06, "spam": 0.06}
WORDS: dict[str, tuple[str, ...]] = {
    "astronaut": ("astronaut", "astronaut", "spaceman", "cosmonaut", "space traveller"),
    "cat": ("cat", "cat", "kitten", "tabby", "house cat", "tomcat"),
    "coffee": ("coffee", "cup of coffee", "espresso", "cappuccino", "latte"),
    "coin": ("coin", "coin", "penny", "medieval coin", "silver piece"),
    "flower": ("flower", "flower", "dahlia", "daisy", "blossom"),
    "horse": ("horse", "horse", "stallion", "mare", "pony", "foal"),
    "moon": ("moon", "full moon", "crescent moon", "lunar surface", "crater"),
    "motorcycle": ("motorcycle", "motorcycle", "motorbike", "chopper", "road bike"),
    "pagoda": ("pagoda", "pagoda", "temple tower", "Chinese temple", "shrine"),
    "rocket": ("rocket", "rocket", "space shuttle", "launcher", "spacecraft"),
    "salad": ("rocket", "rocket", "rocket salad", "wild rocket", "rocket leaves", "arugula"),
    "badge": ("club badge", "sticker", "company sign"),
    "chart": ("bar chart", "sales figures", "quarterly results"),
    "eye scan": ("retina scan", "fundus image", "eye clinic"),
    "letter": ("letter", "contract", "newsletter"),
    "logo": ("logo", "colour wheel", "brand colours"),
    "noise": ("abstract background", "colour gradient", "wallpaper"),
    "page": ("book page", "scanned page", "manuscript"),
    "pattern": ("wrapping paper", "stripes", "fabric pattern"),
    "texture": ("brick wall", "gravel", "lawn", "floor"),
    "fish": ("fish", "goldfish", "carp"),
    "galaxy": ("galaxy", "deep field", "star cluster"),
    "house": ("house", "cottage", "home"),
    "photographer": ("photographer", "cameraman", "man with a camera"),
    "sailboat": ("sailboat", "yacht", "sailing boat"),
    "tissue": ("tissue", "histology slide", "microscope slide"),
    "tree": ("tree", "fir", "oak"),
    "umbrella": ("umbrella", "parasol", "rain umbrella"),
}
# What stands around the words on pages that mean them; it tells the two senses of rocket apart.
CONTEXTS: dict[str, tuple[str, ...]] = {
    "astronaut": ("on the space station", "before the launch", "in training"),
    "cat": ("asleep on the sofa", "looking out of the window", "with a toy mouse"),
    "coffee": ("on the breakfast table", "at the corner cafe", "with milk foam"),
    "coin": ("from a Roman hoard", "in a collector's album", "under the magnifying glass"),
    "flower": ("in the botanical garden", "after the rain", "in a vase"),
    "horse": ("on the meadow", "at the riding school", "in full gallop"),
    "moon": ("through a telescope", "over the bay", "in the night sky"),
    "motorcycle": ("in the garage", "on a country road", "with new tyres"),
    "pagoda": ("by the lake", "in the old town", "at sunset"),
    "rocket": ("on the launch pad", "at night before lift-off", "on its way to orbit"),
    "salad": ("with parmesan", "from the vegetable garden", "on a plate with tomatoes"),
}
FOREIGN: dict[str, tuple[str, ...]] = {
    "astronaut": ("Astronautin im Raumanzug", "astronaute", "astronauta en el espacio"),
    "cat": ("Katze auf dem Sofa", "chat", "gato doméstico"),
    "coffee": ("Tasse Kaffee", "café au lait", "taza de café"),
    "coin": ("alte Münze", "pièce de monnaie", "moneda antigua"),
    "flower": ("Blume im Garten", "fleur", "flor"),
    "horse": ("Pferd auf der Weide", "cheval", "caballo"),
    "moon": ("Vollmond", "la lune", "luna llena"),
    "motorcycle": ("Motorrad", "moto ancienne", "motocicleta"),
    "pagoda": ("Tempelturm am See", "pagode", "templo chino"),
    "rocket": ("Rakete beim Start", "fusée", "cohete espacial"),
    "salad": ("Rucola mit Tomaten", "salade de roquette", "ensalada de rúcula"),
}
_FOREIGN_ANYTHING = ("Bild des Tages", "image sans titre", "foto sin título", "immagine", "obrázek")
_GENERIC = (
    "IMG_{n}.jpg",
    "DSC0{n}.JPG",
    "image {n}",
    "photo",
    "picture of the day",
    "untitled",
    "page {n}",
    "my pictures {n}",
    "wallpaper {n}x{n}",
)
_SPECIFIC = ("{w}", "a photo of a {w}", "{w}.jpg", "{w} {n}", "{w} - photo gallery", "the {w}", "{w} {c}", "{w} {c}", "a {w} {c}")
_SPAM = ("{a} {b} {w} cheap", "buy {a} {b} online - best price", "{a}, {b}, {w}, free shipping", "hot deals {n}% off {a} {b}")


def make_text(*, kind: TextKind, subject: str, rng: np.random.Generator) -> str:
    """An alt text of this kind for a picture of the subject; empty for `missing`, about another subject for `random`.

    Raises ValueError for a subject without words.
    """
    if subject not in WORDS:
        raise ValueError(f"no words for '{subject}': write about one of {', '.join(sorted(WORDS))}")
    if kind == "missing":
        return ""
    if kind == "generic":
        return _pick(rng, _GENERIC).format(n=int(rng.integers(1000, 9999)))
    if kind == "foreign":
        return _pick(rng, FOREIGN.get(subject, _FOREIGN_ANYTHING))
    if kind == "spam":
        a, b, w = (_pick(rng, WORDS[_pick(rng, tuple(WORDS))]) for _ in range(3))
        return _pick(rng, _SPAM).format(a=a, b=b, w=w, n=int(rng.integers(10, 90)))
    if kind == "random":
        subject = _pick(rng, tuple(name for name in WORDS if name != subject))
    return _specific(rng, subject)


def draw_kind(rng: np.random.Generator) -> TextKind:
    """A kind of text, as often as SHARES says."""
    return _pick(rng, tuple(SHARES), tuple(SHARES.values()))


def _specific(rng: np.random.Generator, subject: str) -> str:
    context = _pick(rng, CONTEXTS.get(subject, ("on our website", "for download", "in colour")))
    return _pick(rng, _SPECIFIC).format(w=_pick(rng, WORDS[subject]), c=context, n=int(rng.integers(100, 9999)))


def _pick(rng: np.random.Generator, choices: tuple[T, ...], shares: tuple[float, ...] | None = None) -> T:
    return choices[int(rng.choice(len(choices), p=shares))]
