"""What kind of picture a row is, from its metadata alone: the one vocabulary of `image_type`.

What the picture's own words say (title, description, subtype, file name) comes first: a label on a specimen's record is a
label. Then how the record was made, then its basisOfRecord. What nothing tells stays null. Words are taken at their narrowest,
for names mislead: "Map lichen", "dung beetle" and "on the track" are no maps, scats and tracks.

Sources: Darwin Core's basisOfRecord; Audiovisual Core's subtype; Camtrap DP; the categories of TreeOfLife-200M
(arXiv 2505.23883); iNaturalist's annotation "evidence of presence".
"""

from __future__ import annotations

TYPES = {
    "citizen_science": "photograph by a volunteer, of a portal that gathers them",
    "observation": "photograph of a human observation of any other publisher",
    "machine_observation": "taken by a machine, of no kind below",
    "camera_trap": "taken by a camera that animals set off, or that takes a frame every so often",
    "underwater": "taken by a vehicle or camera under water",
    "living_specimen": "organism kept in a garden, a zoo or a culture",
    "specimen": "preserved specimen",
    "material_sample": "organism sampled for its tissue or its barcode",
    "fossil": "fossil specimen",
    "microscopy": "taken through a microscope",
    "scan": "radiograph, CT or other scan of what lies inside",
    "drawing": "drawing, painting or print",
    "egg": "egg or clutch",
    "nest": "nest",
    "track": "track or footprint",
    "scat": "droppings",
    "sign": "other sign of the organism: feather, bone, moult, hair, gall, mine",
    "habitat": "where the organism lives, without it",
    "spectrogram": "picture of a sound",
    "map": "map",
    "text": "label, ledger, card or other page of text",
}
NOT_ORGANISMS = ("spectrogram", "map", "text")
NO_PEOPLE = (
    *NOT_ORGANISMS,
    "drawing",
    "microscopy",
    "scan",
    "specimen",
    "fossil",
    "material_sample",
    "underwater",
)
COLLECTED = ("specimen", "fossil", "material_sample", "microscopy")

# arguments: basisOfRecord; what the record says of how it was made (`record_words`); title, description, subtype and
# file name of the picture; who published it; the dataset's key; the deployment; lifeStage
MACROS = r"""
create or replace macro record_words(protocol, preparations, remarks, notes, event_remarks, properties) as
  concat_ws(' | ', 'protocol: ' || protocol[:500], 'preparations: ' || replace(preparations[:500], '|', ','), remarks[:500], notes[:500],
    event_remarks[:500], properties[:500]);
create or replace macro file_name(address) as regexp_extract(coalesce(address, ''), '([^/?#]*)([?#].*)?$', 1);
create or replace macro words_type(words) as case        -- a part is what lies between bars: a title, a description, a file's name
  when regexp_matches(words, '(?i)\b(sonogra[mf]|sonagra[mf]|spectrogra[mf]|oscillogra[mf])') then 'spectrogram'
  when regexp_matches(words,
    '(?i)(^|\| )(the |a |[a-z]+ [a-z]+[ ,:_-]+)?((distribution|range|locality|dot)[ _-]?maps?|map of (the )?(distribution|range)|verbreitungskarte)\b')
    then 'map'
  when regexp_matches(words,
    '(?i)((^|\| )labels? (image|photo|picture|of|for)\b|[_-]labels?([ _-]?\d+)?\.[a-z]{3,4}( \||$)|(^|\| )((specimen|collection|museum|herbarium) )?labels?( ?\d+)?( \||$)|(^|\| )catalogu?e? (page|card)\b|(^|\| )(ficha|ledger|(index|accession) card|field ?notes?|field ?books?|(field )?note ?books?|[ée]tiquettes?|etikett(en)?)( page)?( ?\d+)?( \||$))')
    then 'text'
  when regexp_matches(words, '(?i)(\b(radiograph|(micro-?)?ct[ -]scan|micro-?ct|tomogra(m|phy))|(^|\| )x-?rays?( image| photo| of\b|( ?\d+)?(\.[a-z]{3,4})?( \||$)))')
    then 'scan'
  when regexp_matches(words, '(?i)(\b(photo)?micrograph|\bphotomicrographic|\bscanning electron\b|\bSEM image\b|\bmicroscop(e|y|ic) (image|photo|view|slide)|(^|\| )microscop(e|y|ic)( \||$))')
    then 'microscopy'
  when regexp_matches(words,
    '(?i)(\b(illustrations?|engravings?|lithographs?|woodcuts?|watercolou?rs?|line art|line drawings?|zeichnung(en)?|aquarelle?|icones|ilustraci[oó]n(es)?)\b|\b(drawings?|paintings?|dessins?)( of| by|( ?\d+)?(\.[a-z]{3,4})?( \||$))|(^|\| )(drawing|(plate|pl\.|tab\.) ?[0-9ivxlc]+)\b)')
    then 'drawing'
  when regexp_matches(words, '(?i)(^|\| )((eggs?|clutch|ootheca|eggshells?)( of\b|( ?\d+)?(\.[a-z]{3,4})?( \||$))|egg[ -]?(mass|case|clutch|shell|set)(es|s)?\b)')
    and not regexp_matches(words, '(?i)(^|\| )clutch of [a-z]*lings\b') then 'egg'
  when regexp_matches(words, '(?i)((^|\| )nests?( of\b|( with eggs)?( ?\d+)?(\.[a-z]{3,4})?( \||$))|[_.-]nest\.[a-z]{3,4}( \||$))') then 'nest'
  when regexp_matches(words, '(?i)([_.-]tracks([ _-]?\d+)?\.[a-z]{3,4}( \||$)|(^|\| )([a-z]+ )?(tracks|foot ?prints?|paw ?prints?|pug ?marks?|huellas|trittsiegel)( in\b| of\b|( \||$)))')
    and not regexp_matches(words, '(?i)\b(the|rail(way)?|train|dirt|hiking|walking|forest|wheel|tyre|tire|on|along|beside) tracks\b') then 'track'
  when regexp_matches(words,
    '(?i)((^|\| )((fox|otter|wolf|bear|bird|deer|coyote|rabbit|hare|marten|badger|cat|dog) )?(scats|droppings|fa?eces|spraints?|coprolites?|losung|fa?ecal pellets?)( of [^|]*)?( ?\d+)?(\.[a-z]{3,4})?( \||$)|(^|\| )scat( of [^|]*)?( \||$)|\bavføring\b)')
    then 'scat'
  when regexp_matches(words, '(?i)((^|\| )(habitat|landscape)( (photo|shot|view|image|picture))?( of [^|]*)?( ?\d+)?( \||$)|[_ -]habitat([ _-]?\d+)?\.[a-z]{3,4}( \||$))')
    and not regexp_matches(words, '(?i)\b(in|its|their|natural|typical) ([a-z]+ )?(habitat|landscape)') then 'habitat'
end;
create or replace macro says_trap(words) as regexp_matches(words,
  '(?i)(\bcamera[ -]?traps?\b|\bcamtraps?\b|\btrail[ -]?cam(era)?s?\b|\bwild(life)?[ -]?cameras?\b|\bgame cameras?\b|\btrigger sensitivity|c[aá]maras?[ -]trampa|fototrampeo|pi[eè]ges? photo|(kamera|foto|wild)falle|\b(camera|foto)val(len)?\b|\bviltkamera|armadilha fotogr)');
create or replace macro record_type(basis, words, life_stage) as case
  when regexp_matches(words, '(?i)evidence ?of ?presence\W+(organism\W+)?track') then 'track'
  when regexp_matches(words, '(?i)evidence ?of ?presence\W+(organism\W+)?scat') then 'scat'
  when regexp_matches(words, '(?i)evidence ?of ?presence\W+(organism\W+)?egg') then 'egg'
  when regexp_matches(words, '(?i)evidence ?of ?presence\W+(organism\W+)?(feather|bone|molt|moult|hair|gall|leaf ?mine|construction)') then 'sign'
  when says_trap(words) and not regexp_matches(basis, '(?i)specimen|material') and (regexp_matches(basis, '(?i)^(machine.*)?$')
      or says_trap(regexp_extract(words, 'protocol: [^|]*'))        -- volunteers write much; a remark that is nothing else will do
      or regexp_matches(words, '(?i)(^|\| )(photo |picture |taken )?(by |from |on |with )?(an? |my |the )?(camera[ -]?trap|trail[ -]?cam(era)?|wild(life)?[ -]?camera|game camera)s?[.! ]*( \||$)')
      or regexp_matches(words, '(?i)\btrigger sensitivity')) then 'camera_trap'
  when regexp_matches(life_stage, '(?i)^(eggs?|ova|ovum|clutch)$') then 'egg'
  when regexp_matches(basis, '(?i)specimen|material') and regexp_matches(words, '(?i)preparations: [^|]*\b(egg|eggs|clutch|egg set)\b') then 'egg'
  when regexp_matches(basis, '(?i)specimen|material') and regexp_matches(words, '(?i)preparations: [^|]*\bnests?\b') then 'nest'
  when regexp_matches(basis, '(?i)specimen|material') and regexp_matches(words, '(?i)preparations: [^|]*\b(micro(scope|scopic)? ?slides?|slide mount|thin section)\b') then 'microscopy'
end;
create or replace macro is_citizen_science(provider, dataset_key) as
  dataset_key in ('50c9509d-22c7-4a22-a47d-8c48425ef4a7', '8a863029-f435-446a-821e-275f4f641165',
    '7a3679ef-5582-4aaa-81f0-8c2545cafc81', '14d5676a-2c54-4f94-9023-1e8dcd822aa0', '38b4c89f-584c-41bb-bd8f-cd1def33e92f',
    '4fa7b334-ce0d-4e88-aaae-2e0c138d049e')
  or regexp_matches(provider,
    '(?i)(inaturalist|observation\.org|waarneming|naturgucker|artsobservasjoner|artportalen|pl@ntnet|bugguide|ispot|questagame|ebird|earthwatch|spipoll|citizen|ciudadan|cidad[aã]|citoyen|volunteer|naturalist observations)');
create or replace macro image_type_of(basis, words, media_words, provider, dataset_key, deployment, life_stage) as coalesce(
  words_type(coalesce(media_words, '')),
  case when regexp_matches(coalesce(provider, ''), '(?i)xeno-?canto') or dataset_key = 'b1047888-ae52-4179-9dd5-5448ea342a24'
    then 'spectrogram' end,     -- its pictures are of its sounds
  record_type(coalesce(basis, ''), coalesce(words, ''), coalesce(life_stage, '')),
  case when deployment is not null and regexp_matches(coalesce(basis, ''), '(?i)^(machine.*)?$') then 'camera_trap' end,
  case upper(replace(replace(basis, '_', ''), ' ', ''))        -- Darwin Core writes PreservedSpecimen, GBIF PRESERVED_SPECIMEN
    when 'PRESERVEDSPECIMEN' then 'specimen' when 'FOSSILSPECIMEN' then 'fossil' when 'MATERIALSAMPLE' then 'material_sample'
    when 'LIVINGSPECIMEN' then 'living_specimen'
    when 'MACHINEOBSERVATION' then 'machine_observation'
    when 'HUMANOBSERVATION' then case when is_citizen_science(coalesce(provider, ''), coalesce(dataset_key, ''))
      then 'citizen_science' else 'observation' end
    when 'OBSERVATION' then 'observation'
  end);
"""
