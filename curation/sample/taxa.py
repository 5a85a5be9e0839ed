"""Real species with their lineages, used as the taxonomic backbone of the made-up sample archive.

The names, lineages, authorships and synonyms are facts; everything that the sample says *about*
specimens of these species (pictures, places, dates) is generated elsewhere. Lineages follow the
GBIF backbone and the Catalogue of Life, with two fillings so that no rank is empty: ray-finned
fishes get the class Actinopterygii, and the reptile classes, which have no order in the backbone,
repeat the class name as the order.
"""

from collections import defaultdict
from dataclasses import dataclass

RANKS: tuple[str, ...] = ("kingdom", "phylum", "class", "order", "family", "genus", "species")


@dataclass(frozen=True)
class Species:
    """One accepted species: lineage, authorship, English name, synonyms, and a marine flag."""

    kingdom: str
    phylum: str
    class_: str
    order: str
    family: str
    genus: str
    species: str
    authorship: str
    vernacular: str | None
    synonyms: tuple[tuple[str, str], ...]
    marine: bool

    @property
    def lineage(self) -> tuple[str, ...]:
        """Return the seven names from kingdom to binomial, in the order of RANKS."""
        upper = (self.kingdom, self.phylum, self.class_, self.order, self.family)
        return (*upper, self.genus, self.species)


@dataclass(frozen=True)
class Hemihomonym:
    """A genus name in use in two kingdoms, with the (kingdom, ..., family) tuple of each use."""

    genus: str
    lineages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Infraspecific:
    """A name below species; zoological names are printed without the rank marker."""

    parent: str
    marker: str
    epithet: str
    authorship: str


# Records end with ";". "A/B:" replaces the last ranks of the current (kingdom, ..., family) tuple,
# and a star after it marks the family as marine animals. Then come the name (a lower-case start
# keeps the genus), the authorship, "| English name" and any number of "= synonym authorship".
_TEXT = """
Animalia/Chordata/Aves/Passeriformes/Thraupidae: Geospiza fortis Gould, 1837 | Medium Ground-Finch;
fuliginosa Gould, 1837 | Small Ground-Finch; magnirostris Gould, 1837 | Large Ground-Finch; scandens
(Gould, 1837) | Common Cactus-Finch = Cactornis scandens Gould, 1837; Camarhynchus parvulus (Gould,
1837) | Small Tree-Finch = Geospiza parvula Gould, 1837; Thraupis episcopus (Linnaeus, 1766) |
Blue-grey Tanager = Tanagra episcopus Linnaeus, 1766; Paridae: Parus major Linnaeus, 1758 | Great
Tit; minor Temminck & Schlegel, 1848 | Japanese Tit; Cyanistes caeruleus (Linnaeus, 1758) | Eurasian
Blue Tit = Parus caeruleus Linnaeus, 1758; cyanus (Pallas, 1770) | Azure Tit = Parus cyanus Pallas,
1770; Periparus ater (Linnaeus, 1758) | Coal Tit = Parus ater Linnaeus, 1758; Turdidae: Turdus
merula Linnaeus, 1758 | Eurasian Blackbird; migratorius Linnaeus, 1766 | American Robin;
Muscicapidae: Erithacus rubecula (Linnaeus, 1758) | European Robin = Motacilla rubecula Linnaeus,
1758; Oenanthe oenanthe (Linnaeus, 1758) | Northern Wheatear = Motacilla oenanthe Linnaeus, 1758;
hispanica (Linnaeus, 1758) | Western Black-eared Wheatear; Prunellidae: Prunella modularis
(Linnaeus, 1758) | Dunnock = Motacilla modularis Linnaeus, 1758; Fringillidae: Fringilla coelebs
Linnaeus, 1758 | Common Chaffinch; montifringilla Linnaeus, 1758 | Brambling; Carduelis carduelis
(Linnaeus, 1758) | European Goldfinch = Fringilla carduelis Linnaeus, 1758; Corvidae: Corvus corax
Linnaeus, 1758 | Common Raven; corone Linnaeus, 1758 | Carrion Crow; Pica pica (Linnaeus, 1758) |
Eurasian Magpie = Corvus pica Linnaeus, 1758; Accipitriformes/Accipitridae: Aquila chrysaetos
(Linnaeus, 1758) | Golden Eagle = Falco chrysaetos Linnaeus, 1758; heliaca Savigny, 1809 | Eastern
Imperial Eagle; Buteo buteo (Linnaeus, 1758) | Common Buzzard; jamaicensis (Gmelin, 1788) |
Red-tailed Hawk; Falconiformes/Falconidae: Falco peregrinus Tunstall, 1771 | Peregrine Falcon;
tinnunculus Linnaeus, 1758 | Common Kestrel; Strigiformes/Strigidae: Bubo bubo (Linnaeus, 1758) |
Eurasian Eagle-Owl; scandiacus (Linnaeus, 1758) | Snowy Owl = Nyctea scandiaca (Linnaeus, 1758);
Strix aluco Linnaeus, 1758 | Tawny Owl; Anseriformes/Anatidae: Anas platyrhynchos Linnaeus, 1758 |
Mallard; acuta Linnaeus, 1758 | Northern Pintail; Suliformes/Sulidae: Morus bassanus (Linnaeus,
1758) | Northern Gannet = Sula bassana (Linnaeus, 1758); Sula nebouxii Milne-Edwards, 1882 |
Blue-footed Booby; Charadriiformes/Laridae: Larus argentatus Pontoppidan, 1763 | European Herring
Gull; fuscus Linnaeus, 1758 | Lesser Black-backed Gull; Scolopacidae: Arenaria interpres (Linnaeus,
1758) | Ruddy Turnstone = Tringa interpres Linnaeus, 1758; Calidris alba (Pallas, 1764) |
Sanderling; Piciformes/Picidae: Picus viridis Linnaeus, 1758 | European Green Woodpecker;
Dendrocopos major (Linnaeus, 1758) | Great Spotted Woodpecker = Picus major Linnaeus, 1758;
Mammalia/Carnivora/Felidae: Panthera leo (Linnaeus, 1758) | Lion = Felis leo Linnaeus, 1758; tigris
(Linnaeus, 1758) | Tiger = Felis tigris Linnaeus, 1758; pardus (Linnaeus, 1758) | Leopard; onca
(Linnaeus, 1758) | Jaguar; Lynx lynx (Linnaeus, 1758) | Eurasian Lynx = Felis lynx Linnaeus, 1758;
rufus (Schreber, 1777) | Bobcat = Felis rufa Schreber, 1777; Canidae: Canis lupus Linnaeus, 1758 |
Wolf; latrans Say, 1823 | Coyote; Vulpes vulpes (Linnaeus, 1758) | Red Fox = Canis vulpes Linnaeus,
1758; Primates/Aotidae: Aotus trivirgatus (Humboldt, 1811) | Northern Night Monkey = Simia
trivirgata Humboldt, 1811; Artiodactyla/Cervidae: Cervus elaphus Linnaeus, 1758 | Red Deer;
Capreolus capreolus (Linnaeus, 1758) | Western Roe Deer = Cervus capreolus Linnaeus, 1758;
Rodentia/Sciuridae: Sciurus vulgaris Linnaeus, 1758 | Eurasian Red Squirrel;
Chiroptera/Vespertilionidae: Myotis myotis (Borkhausen, 1797) | Greater Mouse-eared Bat;
Cetacea/Delphinidae*: Orcinus orca (Linnaeus, 1758) | Killer Whale = Delphinus orca Linnaeus, 1758;
Squamata/Squamata/Lacertidae: Lacerta agilis Linnaeus, 1758 | Sand Lizard; viridis (Laurenti, 1768)
| Eastern Green Lizard; Podarcis muralis (Laurenti, 1768) | Common Wall Lizard = Lacerta muralis
(Laurenti, 1768); Viperidae: Vipera berus (Linnaeus, 1758) | Common Adder = Coluber berus Linnaeus,
1758; Colubridae: Pantherophis guttatus (Linnaeus, 1766) | Corn Snake = Elaphe guttata (Linnaeus,
1766); Dactyloidae: Anolis carolinensis Voigt, 1832 | Green Anole; sagrei Duméril & Bibron, 1837 |
Brown Anole = Norops sagrei (Duméril & Bibron, 1837); Testudines/Testudines/Testudinidae: Testudo
graeca Linnaeus, 1758 | Spur-thighed Tortoise; hermanni Gmelin, 1789 | Hermann's Tortoise;
Cheloniidae*: Chelonia mydas (Linnaeus, 1758) | Green Turtle = Testudo mydas Linnaeus, 1758;
Amphibia/Anura/Ranidae: Rana temporaria Linnaeus, 1758 | Common Frog; arvalis Nilsson, 1842 | Moor
Frog; dalmatina Fitzinger, 1838 | Agile Frog; Pelophylax ridibundus (Pallas, 1771) | Marsh Frog =
Rana ridibunda Pallas, 1771; Lithobates catesbeianus (Shaw, 1802) | American Bullfrog = Rana
catesbeiana Shaw, 1802; Bufonidae: Bufo bufo (Linnaeus, 1758) | Common Toad = Rana bufo Linnaeus,
1758; Rhinella marina (Linnaeus, 1758) | Cane Toad = Bufo marinus (Linnaeus, 1758); Dendrobatidae:
Dendrobates auratus (Girard, 1855) | Green-and-black Poison Frog; Caudata/Salamandridae: Salamandra
salamandra (Linnaeus, 1758) | Fire Salamander = Lacerta salamandra Linnaeus, 1758; atra Laurenti,
1768 | Alpine Salamander; Triturus cristatus (Laurenti, 1768) | Great Crested Newt;
Actinopterygii/Salmoniformes/Salmonidae: Salmo salar Linnaeus, 1758 | Atlantic Salmon; trutta
Linnaeus, 1758 | Brown Trout; Oncorhynchus mykiss (Walbaum, 1792) | Rainbow Trout = Salmo gairdnerii
Richardson, 1836; Cypriniformes/Cyprinidae: Cyprinus carpio Linnaeus, 1758 | Common Carp;
Perciformes/Pomacentridae*: Amphiprion ocellaris Cuvier, 1830 | False Clown Anemonefish; percula
(Lacepède, 1802) | Orange Clownfish; Lophiiformes/Melanocetidae*: Melanocetus johnsonii Günther,
1864 | Humpback Anglerfish; Gadiformes/Macrouridae*: Coryphaenoides armatus (Hector, 1875) | Abyssal
Grenadier; rupestris Gunnerus, 1765 | Roundnose Grenadier; Elasmobranchii/Lamniformes/Lamnidae*:
Carcharodon carcharias (Linnaeus, 1758) | White Shark = Squalus carcharias Linnaeus, 1758;
Arthropoda/Insecta/Lepidoptera/Papilionidae: Papilio machaon Linnaeus, 1758 | Old World Swallowtail;
polytes Linnaeus, 1758 | Common Mormon; Iphiclides podalirius (Linnaeus, 1758) | Scarce Swallowtail
= Papilio podalirius Linnaeus, 1758; Nymphalidae: Danaus plexippus (Linnaeus, 1758) | Monarch =
Papilio plexippus Linnaeus, 1758; chrysippus (Linnaeus, 1758) | Plain Tiger; Vanessa atalanta
(Linnaeus, 1758) | Red Admiral; cardui (Linnaeus, 1758) | Painted Lady = Cynthia cardui (Linnaeus,
1758); Aglais io (Linnaeus, 1758) | Peacock = Inachis io (Linnaeus, 1758); Pieridae: Pieris rapae
(Linnaeus, 1758) | Small White = Papilio rapae Linnaeus, 1758; brassicae (Linnaeus, 1758) | Large
White; Erebidae: Laelia coenosa (Hübner, 1808) | Reed Tussock; Arctia caja (Linnaeus, 1758) | Garden
Tiger; Sphingidae: Deilephila elpenor (Linnaeus, 1758) | Elephant Hawk-moth;
Coleoptera/Coccinellidae: Coccinella septempunctata Linnaeus, 1758 | Seven-spot Ladybird; Harmonia
axyridis (Pallas, 1773) | Harlequin Ladybird = Coccinella axyridis Pallas, 1773; Carabidae: Carabus
violaceus Linnaeus, 1758 | Violet Ground Beetle; Lucanidae: Lucanus cervus (Linnaeus, 1758) | Stag
Beetle = Scarabaeus cervus Linnaeus, 1758; Diptera/Drosophilidae: Drosophila melanogaster Meigen,
1830 | Vinegar Fly; simulans Sturtevant, 1919; Culicidae: Aedes aegypti (Linnaeus, 1762) | Yellow
Fever Mosquito = Stegomyia aegypti (Linnaeus, 1762); albopictus (Skuse, 1895) | Asian Tiger
Mosquito; Culex pipiens Linnaeus, 1758 | Common House Mosquito; Syrphidae: Episyrphus balteatus (De
Geer, 1776) | Marmalade Hoverfly; Eristalis tenax (Linnaeus, 1758) | Drone Fly; Chironomidae:
Chironomus plumosus (Linnaeus, 1758); Phoridae: Megaselia scalaris (Loew, 1866); Hymenoptera/Apidae:
Apis mellifera Linnaeus, 1758 | Western Honey Bee; Bombus terrestris (Linnaeus, 1758) | Buff-tailed
Bumblebee; lapidarius (Linnaeus, 1758) | Red-tailed Bumblebee = Apis lapidaria Linnaeus, 1758;
Formicidae: Formica rufa Linnaeus, 1761 | Red Wood Ant; Lasius niger (Linnaeus, 1758) | Black Garden
Ant; Vespidae: Vespula vulgaris (Linnaeus, 1758) | Common Wasp; Braconidae: Cotesia glomerata
(Linnaeus, 1758) = Apanteles glomeratus (Linnaeus, 1758); Hemiptera/Pentatomidae: Halyomorpha halys
(Stål, 1855) | Brown Marmorated Stink Bug; Nezara viridula (Linnaeus, 1758) | Southern Green Stink
Bug = Cimex viridulus Linnaeus, 1758; Aphididae: Aphis fabae Scopoli, 1763 | Black Bean Aphid;
Cicadellidae: Cicadella viridis (Linnaeus, 1758) | Green Leafhopper; Odonata/Libellulidae: Libellula
depressa Linnaeus, 1758 | Broad-bodied Chaser; Orthoptera/Acrididae: Locusta migratoria (Linnaeus,
1758) | Migratory Locust; Phasmida/Bacillidae: Bacillus rossius (Rossi, 1788) | European Stick
Insect; Arachnida/Araneae/Araneidae: Araneus diadematus Clerck, 1757 | Garden Spider; marmoreus
Clerck, 1757 | Marbled Orbweaver; Argiope bruennichi (Scopoli, 1772) | Wasp Spider = Aranea
bruennichi Scopoli, 1772; Scorpiones/Buthidae: Buthus occitanus (Amoreux, 1789) | Common Yellow
Scorpion; Malacostraca/Decapoda/Cancridae*: Cancer pagurus Linnaeus, 1758 | Edible Crab; Kiwaidae*:
Kiwa hirsuta Macpherson, Jones & Segonzac, 2005 | Yeti Crab;
Mollusca/Gastropoda/Stylommatophora/Helicidae: Helix pomatia Linnaeus, 1758 | Burgundy Snail; Cepaea
nemoralis (Linnaeus, 1758) | Grove Snail = Helix nemoralis Linnaeus, 1758; Littorinimorpha/Ficidae*:
Ficus variegata Röding, 1798; Neogastropoda/Conidae*: Conus textile Linnaeus, 1758 | Cloth of Gold
Cone; marmoreus Linnaeus, 1758 | Marbled Cone; Cephalopoda/Octopoda/Octopodidae*: Octopus vulgaris
Cuvier, 1797 | Common Octopus; Vampyromorpha/Vampyroteuthidae*: Vampyroteuthis infernalis Chun, 1903
| Vampire Squid; Bivalvia/Mytilida/Mytilidae*: Mytilus edulis Linnaeus, 1758 | Blue Mussel;
Cnidaria/Scyphozoa/Semaeostomeae/Ulmaridae*: Aurelia aurita (Linnaeus, 1758) | Moon Jelly = Medusa
aurita Linnaeus, 1758; Pelagiidae*: Chrysaora hysoscella (Linnaeus, 1767) | Compass Jelly;
fuscescens Brandt, 1835 | Pacific Sea Nettle; Coronatae/Periphyllidae*: Periphylla periphylla (Péron
& Lesueur, 1810) | Helmet Jelly; Atollidae*: Atolla wyvillei Haeckel, 1880;
Hydrozoa/Trachymedusae/Rhopalonematidae*: Crossota norvegica Vanhöffen, 1902; millsae Thuesen, 2003;
Anthozoa/Scleractinia/Acroporidae*: Acropora palmata (Lamarck, 1816) | Elkhorn Coral; cervicornis
(Lamarck, 1816) | Staghorn Coral; Ctenophora/Tentaculata/Lobata/Bolinopsidae*: Bolinopsis
infundibulum (Müller, 1776); Echinodermata/Asteroidea/Forcipulatida/Asteriidae*: Asterias rubens
Linnaeus, 1758 | Common Starfish; Pisaster ochraceus (Brandt, 1835) | Ochre Sea Star;
Echinoidea/Camarodonta/Echinidae*: Echinus esculentus Linnaeus, 1758 | Edible Sea Urchin;
Strongylocentrotidae*: Strongylocentrotus purpuratus (Stimpson, 1857) | Purple Sea Urchin;
Holothuroidea/Elasipodida/Elpidiidae*: Scotoplanes globosa (Théel, 1879) | Sea Pig;
Plantae/Tracheophyta/Magnoliopsida/Fagales/Fagaceae: Quercus robur L. | Pedunculate Oak = Quercus
pedunculata Ehrh.; petraea (Matt.) Liebl. | Sessile Oak; suber L. | Cork Oak; cerris L. | Turkey
Oak; Fagus sylvatica L. | European Beech; Betulaceae: Betula pendula Roth | Silver Birch = Betula
verrucosa Ehrh.; Alnus glutinosa (L.) Gaertn. | Common Alder; Rosales/Moraceae: Morus alba L. |
White Mulberry; nigra L. | Black Mulberry; Ficus carica L. | Common Fig; Rosaceae: Rosa canina L. |
Dog Rose; rubiginosa L. | Sweet Briar = Rosa eglanteria L.; Prunus avium (L.) L. | Wild Cherry =
Cerasus avium (L.) Moench; Lamiales/Lamiaceae: Prunella vulgaris L. | Selfheal; Plantaginaceae:
Digitalis purpurea L. | Foxglove; Apiales/Apiaceae: Oenanthe crocata L. | Hemlock Water-dropwort;
aquatica (L.) Poir. | Fine-leaved Water-dropwort = Phellandrium aquaticum L.; Daucus carota L. |
Wild Carrot; Asterales/Asteraceae: Bellis perennis L. | Daisy; Taraxacum officinale F.H.Wigg. |
Dandelion = Leontodon taraxacum L.; Helianthus annuus L. | Sunflower; Ericales/Ericaceae: Pieris
japonica (Thunb.) D.Don ex G.Don | Japanese Andromeda = Andromeda japonica Thunb.; Calluna vulgaris
(L.) Hull | Heather = Erica vulgaris L.; Fabales/Fabaceae: Aotus ericoides (Vent.) G.Don | Common
Aotus; Trifolium pratense L. | Red Clover; repens L. | White Clover; Caryophyllales/Caryophyllaceae:
Arenaria serpyllifolia L. | Thyme-leaved Sandwort; Silene dioica (L.) Clairv. | Red Campion =
Lychnis dioica L.; latifolia Poir. | White Campion; Droseraceae: Drosera rotundifolia L. |
Round-leaved Sundew; Solanales/Solanaceae: Solanum lycopersicum L. | Tomato = Lycopersicon
esculentum Mill.; tuberosum L. | Potato; Ranunculales/Papaveraceae: Papaver rhoeas L. | Common
Poppy; somniferum L. | Opium Poppy; Ranunculaceae: Ranunculus acris L. | Meadow Buttercup;
Liliopsida/Asparagales/Orchidaceae: Paphiopedilum insigne (Wall. ex Lindl.) Pfitzer = Cypripedium
insigne Wall. ex Lindl.; callosum (Rchb.f.) Stein; rothschildianum (Rchb.f.) Stein; Cypripedium
calceolus L. | Lady's-slipper; Laelia anceps Lindl.; speciosa (Kunth) Schltr.; Ophrys apifera Huds.
| Bee Orchid; insectifera L. | Fly Orchid; Iridaceae: Iris pseudacorus L. | Yellow Flag; germanica
L. | Bearded Iris; Poales/Poaceae: Zea mays L. | Maize; Triticum aestivum L. | Bread Wheat;
Liliales/Liliaceae: Lilium martagon L. | Martagon Lily; candidum L. | Madonna Lily;
Pinopsida/Pinales/Pinaceae: Pinus sylvestris L. | Scots Pine; nigra J.F.Arnold | Black Pine; Picea
abies (L.) H.Karst. | Norway Spruce = Pinus abies L.; Abies alba Mill. | Silver Fir;
Polypodiopsida/Polypodiales/Dennstaedtiaceae: Pteridium aquilinum (L.) Kuhn | Bracken = Pteris
aquilina L.; Bryophyta/Polytrichopsida/Polytrichales/Polytrichaceae: Polytrichum commune Hedw. |
Common Haircap;
Fungi/Basidiomycota/Agaricomycetes/Agaricales/Amanitaceae: Amanita muscaria (L.) Lam. | Fly Agaric =
Agaricus muscarius L.; phalloides (Vaill. ex Fr.) Link | Death Cap; caesarea (Scop.) Pers. |
Caesar's Mushroom = Agaricus caesareus Scop.; Agaricaceae: Agaricus campestris L. | Field Mushroom;
Macrolepiota procera (Scop.) Singer | Parasol = Lepiota procera (Scop.) Gray; Boletales/Boletaceae:
Boletus edulis Bull. | Cep; reticulatus Schaeff. | Summer Bolete = Boletus aestivalis (Paulet) Fr.;
Russulales/Russulaceae: Russula emetica (Schaeff.) Pers. | The Sickener; Lactarius deliciosus (L.)
Gray | Saffron Milkcap = Agaricus deliciosus L.; Polyporales/Polyporaceae: Trametes versicolor (L.)
Lloyd | Turkeytail = Coriolus versicolor (L.) Quél.;
Ascomycota/Pezizomycetes/Pezizales/Morchellaceae: Morchella esculenta (L.) Pers. | Common Morel;
Lecanoromycetes/Teloschistales/Teloschistaceae: Xanthoria parietina (L.) Th.Fr. | Common Orange
Lichen = Lichen parietinus L.;
Chromista/Ochrophyta/Phaeophyceae/Fucales/Fucaceae: Fucus vesiculosus L. | Bladder Wrack; serratus
L. | Toothed Wrack; Laminariales/Laminariaceae: Laminaria digitata (Hudson) J.V.Lamouroux | Oarweed;
Ciliophora/Oligohymenophorea/Peniculida/Parameciidae: Paramecium caudatum Ehrenberg, 1833; aurelia
Ehrenberg, 1838; Haptophyta/Coccolithophyceae/Isochrysidales/Noelaerhabdaceae: Emiliania huxleyi
(Lohmann) W.W.Hay & H.Mohler = Coccolithus huxleyi (Lohmann) Kamptner;
Oomycota/Peronosporea/Peronosporales/Peronosporaceae: Phytophthora infestans (Mont.) de Bary |
Potato Blight; ramorum Werres, De Cock & Man in 't Veld;
Protozoa/Mycetozoa/Myxomycetes/Physarales/Physaraceae: Physarum polycephalum Schwein.; cinereum
(Batsch) Pers.; Fuligo septica (L.) F.H.Wigg. | Dog Vomit Slime Mould = Mucor septicus L.;
Stemonitidales/Stemonitidaceae: Stemonitis fusca Roth; axifera (Bull.) T.Macbr.;
Euglenozoa/Euglenophyceae/Euglenales/Euglenaceae: Euglena gracilis G.A.Klebs; viridis (O.F.Müller)
Ehrenberg; Amoebozoa/Tubulinea/Euamoebida/Amoebidae: Amoeba proteus (Pallas, 1766) = Volvox proteus
Pallas, 1766;
Bacteria/Firmicutes/Bacilli/Bacillales/Bacillaceae: Bacillus subtilis (Ehrenberg, 1835) Cohn, 1872 =
Vibrio subtilis Ehrenberg, 1835; anthracis Cohn, 1872; Lactobacillales/Streptococcaceae:
Streptococcus pyogenes Rosenbach, 1884;
Proteobacteria/Gammaproteobacteria/Enterobacterales/Enterobacteriaceae: Escherichia coli (Migula,
1895) Castellani & Chalmers, 1919; Pseudomonadales/Pseudomonadaceae: Pseudomonas aeruginosa
(Schroeter, 1872) Migula, 1900; fluorescens Migula, 1895
"""


def _parse(text: str) -> tuple[Species, ...]:
    ranks: list[str] = []
    genus, marine, out = "", False, []
    for record in " ".join(text.split()).replace("/ ", "/").split(";"):
        head, colon, body = record.rpartition(":")
        if colon:
            marine = head.endswith("*")
            tail = head.strip(" *").split("/")
            ranks = ranks[: max(0, 5 - len(tail))] + tail
        name_part, *synonym_parts = (part.strip() for part in body.split("="))
        name, _, vernacular = (part.strip() for part in name_part.partition("|"))
        if not name[0].islower():
            genus, name = name.split(" ", 1)
        epithet, authorship = name.split(" ", 1)
        synonyms = []
        for part in synonym_parts:
            first, second, author = part.split(" ", 2)
            synonyms.append((f"{first} {second}", author))
        binomial = f"{genus} {epithet}"
        kingdom, phylum, class_, order, family = ranks
        out.append(
            Species(
                *(kingdom, phylum, class_, order, family, genus, binomial, authorship),
                vernacular=vernacular or None,
                synonyms=tuple(synonyms),
                marine=marine,
            )
        )
    return tuple(out)


def _hemihomonyms(species: tuple[Species, ...]) -> tuple[Hemihomonym, ...]:
    uses: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for one in species:
        uses[one.genus][one.kingdom] = one.lineage[:5]
    return tuple(Hemihomonym(g, tuple(u.values())) for g, u in uses.items() if len(u) > 1)


SPECIES: tuple[Species, ...] = _parse(_TEXT)
HEMIHOMONYMS: tuple[Hemihomonym, ...] = _hemihomonyms(SPECIES)
INFRASPECIFIC: tuple[Infraspecific, ...] = (
    Infraspecific("Panthera tigris", "subsp.", "altaica", "Temminck, 1844"),
    Infraspecific("Canis lupus", "subsp.", "familiaris", "Linnaeus, 1758"),
    Infraspecific("Falco peregrinus", "subsp.", "anatum", "Bonaparte, 1838"),
    Infraspecific("Apis mellifera", "subsp.", "carnica", "Pollmann, 1879"),
    Infraspecific("Papilio machaon", "subsp.", "gorganus", "Fruhstorfer, 1922"),
    Infraspecific("Quercus robur", "subsp.", "pedunculiflora", "(K.Koch) Menitsky"),
    Infraspecific("Daucus carota", "subsp.", "sativus", "(Hoffm.) Arcang."),
    Infraspecific("Zea mays", "subsp.", "parviglumis", "Iltis & Doebley"),
    Infraspecific("Pinus sylvestris", "var.", "mongolica", "Litv."),
    Infraspecific("Amanita muscaria", "var.", "formosa", "Pers."),
)
HYBRIDS: tuple[tuple[str, str], ...] = (  # (name with the multiplication sign, authorship)
    ("Quercus × hispanica", "Lam."),
    ("Quercus × rosacea", "Bechst."),
    ("Drosera × obovata", "Mert. & W.D.J.Koch"),
    ("Rosa × alba", "L."),
    ("Mentha × piperita", "L."),
    ("Populus × canadensis", "Moench"),
)
