"""What languages are called: the codes of ISO 639, and English names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from datachef.core.errors import did_you_mean

UNDETERMINED_LANGUAGE = "und"

# A language in a line: its codes of ISO 639-1, 639-3 and, where they differ, 639-2/B; withdrawn
# codes; that of the individual language that a macrolanguage mostly means. Then its English names.
_LANGUAGES = """
aa aar : afar
ab abk : abkhaz, abkhazian
ace : acehnese, achinese
ae ave : avestan
af afr : afrikaans
ak aka twi tw : akan
als gsw : alemannic, swiss german
am amh : amharic
an arg : aragonese
ar ara arb : arabic
ary : moroccan arabic
arz : egyptian arabic
as asm : assamese
ast : asturian
av ava : avaric, avar
ay aym : aymara
az aze azj : azerbaijani
ba bak : bashkir
bcl : central bikol
be bel : belarusian
bg bul : bulgarian
bi bis : bislama
bm bam : bambara
bn ben : bengali, bangla
bo bod tib : tibetan
br bre : breton
bs bos : bosnian
ca cat : catalan, valencian
ce che : chechen
ceb : cebuano
ch cha : chamorro
ckb : central kurdish, sorani
co cos : corsican
cr cre : cree
crh : crimean tatar
cs ces cze : czech
cv chv : chuvash
cy cym wel : welsh
da dan : danish
de deu ger : german
dv div : dhivehi, maldivian
dz dzo : dzongkha
ee : ewe
el ell gre : greek, modern greek
en eng : english
eo epo : esperanto
es spa : spanish, castilian
et est ekk : estonian
eu eus baq : basque
ext : extremaduran
fa fas per pes : persian, farsi
ff ful : fulah, fula
fi fin : finnish
fil tl tgl : filipino, tagalog, pilipino
fj fij : fijian
fo fao : faroese
fr fra fre : french
fuv : nigerian fulfulde
fy fry : western frisian, frisian
ga gle : irish
gcf : guadeloupean creole
gcr : guianese creole
gd gla : scottish gaelic, gaelic
gl glg : galician
gn grn : guarani
gom : goan konkani, konkani
grc : ancient greek
gu guj : gujarati
gug : paraguayan guarani
guw : gun
gv glv : manx
ha hau : hausa
hbo : ancient hebrew
he heb iw : hebrew
hi hin : hindi
ho hmo : hiri motu
hr hrv scr : croatian
ht hat : haitian, haitian creole
hu hun : hungarian
hy hye arm : armenian
hz her : herero
ia ina : interlingua
id ind in : indonesian
ie ile : interlingue, occidental
ig ibo : igbo
ii iii : nuosu, sichuan yi
ik ipk : inupiaq
io : ido
is isl ice : icelandic
it ita : italian
iu iku : inuktitut
ja jpn : japanese
jv jav jw : javanese
ka kat geo : georgian
kab : kabyle
kg kon : kongo
ki kik : kikuyu, gikuyu
kj kua : kuanyama
kk kaz : kazakh
kl kal : greenlandic, kalaallisut
km khm : khmer, central khmer
kn kan : kannada
ko kor : korean
kr kau : kanuri
ks kas : kashmiri
ku kur kmr : kurdish, kurmanji
kv kom : komi
kw cor : cornish
ky kir : kyrgyz, kirghiz
la lat : latin
lb ltz : luxembourgish
lg lug : ganda, luganda
li lim : limburgish, limburgan
lij : ligurian
ln lin : lingala
lo : lao
lt lit : lithuanian
ltg : latgalian
lu lub : luba-katanga
lv lav lvs : latvian
mg mlg plt : malagasy
mh mah : marshallese
mi mri mao : maori
mk mkd mac : macedonian
ml mal : malayalam
mn mon khk : mongolian
mr mar : marathi
ms msa may zsm : malay
mt mlt : maltese
my mya bur : burmese
na nau : nauru, nauruan
nb nob : bokmål, bokmal, norwegian bokmål, norwegian bokmal
nd nde : north ndebele, northern ndebele
ne nep npi : nepali
ng ndo : ndonga
nl nld dut : dutch, flemish
nn nno : nynorsk, norwegian nynorsk
no nor : norwegian
nr nbl : south ndebele, southern ndebele
nso : northern sotho, pedi, sepedi
nv nav : navajo
ny nya : chichewa, chewa, nyanja
oc oci : occitan
oj oji : ojibwa, ojibwe
om orm : oromo
or ori ory : odia, oriya
os oss : ossetian, ossetic
pa pan pnb : punjabi, panjabi
pcm : nigerian pidgin
pi pli : pali
pl pol : polish
ps pus pbt : pashto, pushto
pt por : portuguese
qu que quy : quechua
rm roh : romansh
rn run : rundi, kirundi
ro ron rum mo mol : romanian, moldavian, moldovan
ru rus : russian
rw kin : kinyarwanda
sa san : sanskrit
sc srd : sardinian
sd snd : sindhi
sdh : southern kurdish
se sme : northern sami
sg sag : sango
si sin : sinhala, sinhalese
sk slk slo : slovak
sl slv : slovenian, slovene
sm smo : samoan
sn sna : shona
so som : somali
sq sqi alb : albanian
sr srp scc : serbian
ss ssw : swati, swazi
st sot : southern sotho, sotho
su sun : sundanese
sv swe : swedish
sw swa swh : swahili
ta tam : tamil
te tel : telugu
tg tgk : tajik
th tha : thai
ti tir : tigrinya
tk tuk : turkmen
tn tsn : tswana
to ton : tongan
tr tur : turkish
ts tso : tsonga
tt tat : tatar
ty tah : tahitian
ug uig : uyghur, uighur
uk ukr : ukrainian
ur urd : urdu
uz uzb uzn : uzbek
uzs : southern uzbek
ve ven : venda
vec : venetian
vi vie : vietnamese
vo vol : volapük, volapuk
wa wln : walloon
wo wol : wolof
wuu : wu, wu chinese, shanghainese
xh xho : xhosa
yi yid ydd ji : yiddish
yo yor : yoruba
yue : cantonese, yue chinese
za zha : zhuang
zh zho chi cmn : chinese, mandarin, mandarin chinese
zu zul : zulu
zxx : no linguistic content
"""


# What a model that knows the second takes for it.
_PART_OF = {
    "arz": "ar", "ary": "ar", "ckb": "ku", "fuv": "ff", "grc": "el", "gug": "gn", "hbo": "he",
    "nb": "no", "nn": "no", "sdh": "ku", "uzs": "uz", "wuu": "zh", "yue": "zh",
    "bs": "sh", "hr": "sh", "sr": "sh",
}  # fmt: skip
_SEVERAL = {"sh": "bs, hr or sr", "hbs": "bs, hr or sr", "serbo-croatian": "bs, hr or sr"}
# Codes of countries that are taken for those of their languages.
_COUNTRIES = {"jp": "ja", "cz": "cs", "kr": "ko", "dk": "da", "gr": "el", "ua": "uk"}


class UnknownLanguageError(ValueError):
    """A language that a model has no label for, or several. `hint` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def label_of(language: str, labels: Collection[str]) -> str:
    """The label by which a model knows a language.

    `language` is a label in any case, a code of ISO 639 (of two or three letters, withdrawn ones
    too) or an English name; `labels` are the model's, codes with or without a script (`en`,
    `eng_Latn`). Raises `UnknownLanguageError` where no label means this language, where several do,
    and for a region or script that the model does not tell apart (`en-US`, `zh-Hans`).
    """
    wanted = language.strip().removeprefix("__label__")
    known = {*labels, UNDETERMINED_LANGUAGE}
    if wanted in known:
        return wanted
    if alike := [label for label in known if _plain(label) == _plain(wanted)]:
        return _only(wanted, alike)
    if wanted.casefold() in _SEVERAL:
        raise UnknownLanguageError(
            f"{wanted} is more than one language to this model",
            f"write {_SEVERAL[wanted.casefold()]}, or all of them",
        )
    name = _plain(wanted)
    base, _, rest = name.partition("-")
    if (meant := _by_name().get(name.replace("-", " ")) or _by_name().get(name)) is not None:
        found = _labels_of(meant, known)
        if found:
            return _only(wanted, found)
        hint = _of_country(name, known) or _instead(meant, known)
        raise UnknownLanguageError(f"this model has no label for {wanted}", hint)
    if (meant := _by_name().get(base)) is not None and (found := _labels_of(meant, known)):
        if exact := [label for label in found if _plain(label).partition("-")[2] == rest]:
            return _only(wanted, exact)
        raise UnknownLanguageError(
            f"this model does not tell {wanted} from the rest of {base}",
            f"write {' or '.join(sorted(found))}",
        )
    hint = _of_country(name, known) or _alike(name, known)
    raise UnknownLanguageError(f"unknown language {wanted!r}", hint)


def _plain(text: str) -> str:
    return text.casefold().replace("_", "-")


def _only(wanted: str, found: Collection[str]) -> str:
    if len(found) > 1:
        raise UnknownLanguageError(
            f"{wanted} has several labels in this model", f"write {' or '.join(sorted(found))}"
        )
    return next(iter(found))


@cache
def _by_name() -> Mapping[str, frozenset[str]]:
    """The codes of each language by all that it is called, codes among them."""
    found: dict[str, frozenset[str]] = {}
    for line in _LANGUAGES.strip().splitlines():
        codes, names = (part.strip() for part in line.split(":"))
        group = frozenset(codes.split())
        for name in (*group, *names.split(", ")):
            found.setdefault(name, group)
    return found


def _labels_of(codes: frozenset[str], labels: Collection[str]) -> list[str]:
    return [label for label in labels if _plain(label).split("-")[0] in codes]


def _instead(codes: frozenset[str], labels: Collection[str]) -> str:
    """A hint to the language that the model takes this one for."""
    wider = {_PART_OF[code] for code in codes & _PART_OF.keys()}
    for name in wider:
        if found := _labels_of(_by_name().get(name, frozenset({name})), labels):
            return f"the nearest label is {' or '.join(sorted(found))}"
    return did_you_mean(min(codes, key=len), labels)


def _of_country(code: str, labels: Collection[str]) -> str:
    """A hint to the language of a country whose code this is; empty where there is none."""
    found = _labels_of(_by_name().get(_COUNTRIES.get(code, ""), frozenset()), labels)
    return f"write {' or '.join(sorted(found))}" if found else ""


def _alike(name: str, labels: Collection[str]) -> str:
    """A hint to labels, and to names of languages that have one, that are spelled like this."""
    names = {n for n, codes in _by_name().items() if len(n) > 3 and _labels_of(codes, labels)}
    return did_you_mean(name, {*labels, *names} if len(name) > 3 else labels)
