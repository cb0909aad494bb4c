//! Small lists of words, written for this purpose: what a word may be. About 40 kB of text.

use std::{collections::HashMap, sync::LazyLock};

pub const GIVEN: u16 = 1;
pub const SURNAME: u16 = 1 << 1;
pub const COMMON: u16 = 1 << 2;
pub const HONORIFIC: u16 = 1 << 3;
pub const STREET_TYPE: u16 = 1 << 4;
pub const STREET_FIRST: u16 = 1 << 5;
pub const COUNTRY: u16 = 1 << 6;
pub const NATIONALITY: u16 = 1 << 7;
pub const REGION: u16 = 1 << 8;
pub const CITY: u16 = 1 << 9;
pub const FIRM: u16 = 1 << 10;
pub const CALENDAR: u16 = 1 << 11;
pub const UNIT: u16 = 1 << 12;
pub const PARTICLE: u16 = 1 << 13;
pub const NAME_END: u16 = 1 << 14;
/// Begins one of [`LONG_PLACES`].
pub const LONG_FIRST: u16 = 1 << 15;

/// What a word in lower case may be; 0 for unknown ones.
pub fn kinds_of(lower: &str) -> u16 {
    KINDS.get(lower).copied().unwrap_or(0)
}

/// Names of countries and regions of several words, in lower case.
pub const LONG_PLACES: [&str; 96] = [
    "turks and caicos islands",
    "isle of man",
    "western sahara",
    "american samoa",
    "timor-leste",
    "svalbard & jan mayen islands",
    "svalbard and jan mayen islands",
    "saint helena",
    "saint barthelemy",
    "saint martin",
    "saint pierre and miquelon",
    "british indian ocean territory",
    "british virgin islands",
    "united states virgin islands",
    "united states minor outlying islands",
    "lao people's democratic republic",
    "libyan arab jamahiriya",
    "syrian arab republic",
    "slovakia (slovak republic)",
    "russian federation",
    "holy see (vatican city state)",
    "netherlands antilles",
    "northern mariana islands",
    "norfolk island",
    "falkland islands (malvinas)",
    "falkland islands",
    "french guiana",
    "french southern territories",
    "pitcairn islands",
    "palestinian territory",
    "bouvet island",
    "brunei darussalam",
    "christmas island",
    "cocos (keeling) islands",
    "wallis and futuna",
    "heard island and mcdonald islands",
    "united states of america",
    "united states",
    "united kingdom",
    "united arab emirates",
    "great britain",
    "northern ireland",
    "south africa",
    "south korea",
    "north korea",
    "south sudan",
    "new zealand",
    "saudi arabia",
    "sri lanka",
    "costa rica",
    "puerto rico",
    "el salvador",
    "dominican republic",
    "czech republic",
    "central african republic",
    "democratic republic of the congo",
    "bosnia and herzegovina",
    "trinidad and tobago",
    "antigua and barbuda",
    "saint kitts and nevis",
    "saint vincent and the grenadines",
    "saint lucia",
    "são tomé and príncipe",
    "papua new guinea",
    "equatorial guinea",
    "guinea bissau",
    "solomon islands",
    "marshall islands",
    "cayman islands",
    "faroe islands",
    "cook islands",
    "virgin islands",
    "cape verde",
    "burkina faso",
    "sierra leone",
    "ivory coast",
    "hong kong",
    "san marino",
    "vatican city",
    "french polynesia",
    "new caledonia",
    "new york",
    "new jersey",
    "new mexico",
    "new hampshire",
    "north carolina",
    "south carolina",
    "north dakota",
    "south dakota",
    "west virginia",
    "rhode island",
    "los angeles",
    "san francisco",
    "san diego",
    "las vegas",
    "rio de janeiro",
];

/// Ends of words that name a street in languages that write it as one word.
pub const STREET_ENDS: [&str; 48] = [
    "str", "stigen", "stien", "torget", "torvet", "tie", "vägen", "veg", "vei", "pad", "stræte", "uličky", "strasse",
    "straße", "straat", "gasse", "gatan", "gata", "gaten", "vägen", "veien", "vegen", "vej", "gade", "katu", "kuja",
    "polku", "laan", "plein", "singel", "gracht", "kade", "dreef", "platz", "allee", "damm", "ufer", "weg", "ring",
    "stræde", "steeg", "dijk", "stíg", "götu", "väg", "gränd", "raitti", "hof",
];

static KINDS: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
    let mut kinds = HashMap::new();
    for (kind, words) in LISTS {
        for word in words.split_ascii_whitespace() {
            *kinds.entry(word).or_default() |= kind;
        }
    }
    for first in LONG_PLACES.iter().filter_map(|name| name.split(' ').next()) {
        *kinds.entry(first).or_default() |= LONG_FIRST;
    }
    kinds
});

const LISTS: [(u16, &str); 17] = [
    (GIVEN, GIVEN_NAMES),
    (GIVEN, MORE_GIVEN_NAMES),
    (SURNAME, SURNAMES),
    (COMMON, COMMON_WORDS),
    (COMMON, DOCUMENT_WORDS),
    (
        HONORIFIC,
        "mr mrs ms miss mx dr prof professor doctor sir madam herr frau señor señora sr sra monsieur madame mme mlle rev",
    ),
    (STREET_TYPE, STREET_TYPES),
    (STREET_FIRST, STREET_FIRSTS),
    (COUNTRY, COUNTRIES),
    (NATIONALITY, NATIONALITIES),
    (REGION, REGIONS),
    (CITY, CITIES),
    (FIRM, FIRMS),
    (
        CALENDAR,
        "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august \
         september october november december jan feb mar apr jun jul aug sep sept oct nov dec",
    ),
    (UNIT, "apt apartment suite ste unit floor flat room bldg building box"),
    (PARTICLE, "de da di do dos das del della van von der den ter ten la le el al bin ibn ben abu af av zu y"),
    (NAME_END, "jr sr ii iii iv md phd dds dvm esq"),
];

const GIVEN_NAMES: &str = "
aaron abdul abdullah abigail adam adele adrian adriana agnes agnieszka ahmad ahmed aisha alan albert alberto alejandro
aleksandr aleksandra alessandro alex alexander alexandra alexandre alexis alfred ali alice alicia alina alison allan
allen allison alma amanda amber amelia amina amir amy ana anastasia anders andre andrea andreas andrei andrew andrzej
andy angel angela angelica angelo anita ann anna anne annette annie anthony antoine anton antonio arjun arne arthur
ashley astrid audrey austin ava axel barbara beatrice beatriz benjamin bernard beth betty beverly bianca bjorn björn
bob bonnie boris brad bradley brandon brenda brent brett brian bridget bruce bruno bryan caitlin cameron camila camille
carl carla carlos carmen carol carole carolina caroline carolyn carrie caspar catherine cecilia chad charles charlie
charlotte chen cheryl chiara chloe chris christian christina christine christopher cindy claire clara claude claudia
clement clara colin connie connor craig cristina crystal curtis cynthia daisy dale damian dan dana daniel daniela
danielle danny darren dave david dean deborah debra denise dennis derek diana diane diego dieter dimitri dmitri dominic
donald donna doris dorothy douglas duncan dustin dylan edgar edith edna eduardo edward edwin eileen elaine eleanor elena
eli elias elijah elisabeth eliza elizabeth ella ellen elsa emil emilia emily emma enrique eric erica erik erika erin
ernest esther ethan eugene eva evan evelyn fatima federico felix fernando filip fiona florence frances francesca
francesco francis francisco francois frank franz fred frederick fredrik gabriel gabriela gail gareth gary gavin geoffrey
george gerald gerard gerda giovanni giulia gina gloria gordon grace graham greg gregory greta guillermo gustav hannah
hans harold harriet harry hassan hector heidi heinrich helen helena helga henri henrik henry herbert hiroshi holger
howard hugh hugo hussein ian ibrahim ida igor ines ingrid irene iris isaac isabel isabella ivan ivana jack jackie jacob
jacqueline jacques jake jakob jakub james jamie jan jana jane janet janice jason javier jay jean jeanne jeff jeffrey
jennifer jenny jeremy jerome jerry jesse jessica jesus jill jim jimmy joan joanna joanne jocelyn joe joel johan johanna
johannes john johnny jon jonas jonathan jordan jorge jose josé josef joseph josephine joshua joyce juan juanita judith
judy julia julian juliana julie juliet jürgen justin karen karim karin karina karl karolina kate katarina katarzyna
katherine kathleen kathryn kathy katie katrina kayla keith kelly ken kenji kenneth kerry kevin khalid kim kirsten klaus
kristen kristin kristina krzysztof kurt kyle lance larry lars laszlo laura lauren laurence laurent lawrence leah lena
leo leon leonard leonardo leslie lewis liam lillian lily linda lindsay lisa liz lloyd logan lois lorenzo lori lorraine
louis louise luc luca lucas lucia lucy luis luisa lukas luke lydia lynn madison magdalena malcolm manuel marc marcel
marcia marco marcus margaret margarita maria marian marianne marie marilyn marina mario marion marisa marjorie mark
marko markus marlene marta martha martin martina marvin mary mateo mathew mathias matilda matteo matthew maureen maurice
max maxim megan mei melanie melissa mercedes meredith mia michael michal michel michele michelle miguel mike mikael
mikhail milan mildred miriam mitchell mohamed mohammad mohammed molly monica monika morgan muhammad nadia nancy naomi
natalia natalie nathan nathaniel neil nicholas nicola nicolas nicole nigel nikita nikolai nils nina noah noel nora
norma norman olaf oleg olga oliver olivia oscar otto owen pablo pamela paolo patricia patrick paul paula pauline pavel
pedro peggy penelope peter petr petra philip philippe phillip phyllis pierre piotr priya rachel rafael raj rajesh ralph
ramon randy raul ravi ray raymond rebecca regina reginald renata rene renee ricardo richard rick rita robert roberta
roberto robin rodney roger roland roman ronald ronnie rosa rosemary ross roxanne roy ruben russell ruth ryan sabrina
sally salvatore sam samantha samira samuel sandra sara sarah scott sean sebastian sergei sergio seth shane shannon
sharon shaun shawn sheila shelby shelly shirley sigrid silvia simon simone sofia sonia sonja sophia sophie stacey
stacy stanislav stanley stefan stefano stella stephanie stephen steve steven stuart sue sunita susan susanne suzanne
sven svetlana sylvia tamara tanya tara tatiana ted teresa terrence terry thelma theodore theresa thomas tiffany tim
timothy tina todd tom tomas tomasz tommy tony tracey tracy travis trevor troy tyler ursula valentina valerie vanessa
vera vernon veronica victor victoria vincent viktor viola virginia vivian vladimir walter wanda warren wayne wendy
wesley wilhelm william willie wolfgang xavier yan yasmin yolanda yuki yuri yusuf yvonne zachary zoe zofia";

const MORE_GIVEN_NAMES: &str = "
abbas abel ada adel adolf aidan aino akira alana albin aldo alessia alfonso alfredo alvaro amalia amaya amit amparo
anand anders andrej anette angelina anja anke anil anouk antonia antti april arash ariana ariel armando arnaud arnold
arturo asha augusto aurelie barry bastian bart belinda benedikt benito bent bernd bert bertha birgit blanca bodil
bogdan branko brigitte carina carsten celine cesar christophe christoph clarence claudio clifford clyde concepcion
corinne dagmar daphne dario darrell darryl dawn delphine denis desmond dirk dolores dominik dorota dragan dusan
eberhard edmund eero eino elisa elise elvira emanuel emilio emmanuel enzo ernesto esteban eugenia eva fabian fabio
fabrice farid felicia ferdinand finn flora florian frieda frida fritz gabor gabriella geert gemma georg georges
gerhard gilbert gilles gisela glen glenn goran grzegorz guido gunnar günter gunther guy hamid hanna hanne hans harald
harvey hassan hazel heather heike heikki heiko hermann hilda honoré horst ignacio ilona ilse imran inga inge ingeborg
irina irma isabelle istvan ivo jaime jan-erik janos jaroslav jaume jeanette jens jiri jitka joachim joaquin jochen
jörg jörgen joost joris jozef jukka julio julius jutta kamil kari karel karsten kasper katharina kathrin katja kazimierz
khaled kirk kjell knut konrad kristian lajos leif leila leticia lilian lidia ludwig lukasz maciej magnus maja malin
manfred marcelo marek margarete margit margot mariana marija mariusz marleen marlies marlon martine mattias mauricio
maya melvin mehmet mette micheal milena milos mirjam mirko mohan mona moritz mustafa myra nadine natasha nelson nenad
niels nikola nikolaj nikolaus noemi octavio odile oksana omar orlando oswald ove pascal patrik per perry pia pilar
pirkko preben radek rafal ragnar rainer ramona rasmus reinhard renate rhonda rodrigo rolf romain rosalind rosie roswitha
rudolf rune sabine said salma samir sanjay santiago sascha selma silke silvio simona slavica sonya soren søren stein
steffen stig susana sylvie szymon tadeusz tania tapio tatjana theo thierry thorsten tiago timo tobias tor torben tore
tuomas ulla ulrich ulrike urban uta uwe vaclav veronika vesna viktoria vilma virgil waldemar wei werner wilfred willem
wim winston wojciech yann yves zdenek zlatko zoltan zuzana";

const SURNAMES: &str = "
smith johnson williams jones brown davis garcia miller wilson anderson taylor moore jackson martin lee perez thompson
white harris sanchez clark ramirez lewis robinson walker young allen wright torres nguyen hill flores adams nelson baker
hall rivera campbell mitchell carter roberts gomez phillips evans turner diaz parker cruz edwards collins reyes stewart
morris morales murphy cook rogers gutierrez ortiz cooper peterson bailey reed kelly howard ramos cox ward richardson
watson brooks chavez wood bennett gray mendoza hughes price alvarez castillo sanders patel myers ross foster jimenez
powell jenkins perry russell sullivan bell coleman butler henderson barnes fisher vasquez simmons graham murray ford
castro marshall owens harrison fernandez mcdonald woods washington kennedy wells freeman webb tucker burns hunter
gordon shaw hansen jensen nielsen larsen olsen andersen pedersen christensen johansson andersson karlsson nilsson
eriksson larsson olsson persson svensson gustafsson müller schmidt schneider fischer weber meyer wagner becker schulz
hoffmann koch bauer richter klein wolf schröder neumann schwarz zimmermann braun krüger hofmann hartmann lange werner
krause lehmann köhler maier huber dubois durand leroy moreau laurent lefebvre roux fournier girard bonnet rossi russo
ferrari esposito bianchi romano colombo ricci marino greco silva santos oliveira souza lima pereira ferreira costa
rodrigues almeida gonzalez rodriguez lopez martinez hernandez novak kowalski nowak wisniewski ivanov petrov smirnov
kuznetsov popov horvat kovac nagy szabo toth kiss virtanen korhonen nieminen visser jansen bakker dejong smit khan
singh kumar sharma chen wang li zhang liu yang huang zhao wu zhou kim park choi jung tanaka suzuki sato takahashi";

const COMMON_WORDS: &str = "
a an the this that these those i you he she it we they me him her us them my your his its our their mine yours ours who
whom whose which what when where why how and or but nor so yet for if then else than as at by in on of to from with
without within into onto over under above below up down out off about after before between during through across against
among around behind beside beyond near since until till upon via per is am are was were be been being do does did done
doing have has had having will would shall should can could may might must ought not no yes never always often
sometimes usually maybe perhaps please thanks thank hello hi hey dear sorry excuse ok okay sure well now today tomorrow
yesterday tonight here there everywhere somewhere anywhere again also too very much many more most few less least some
any all both each every either neither none one two three four five six seven eight nine ten first second third last
next previous new old young good bad better best worse worst big small large little long short high low early late
right wrong true false same other another such own only just even still already almost quite rather really actually
however therefore moreover meanwhile although though because while whereas unless whether let lets get got give gave
given go goes went gone going come came coming make made making take took taken see saw seen look looking know knew
known think thought want wanted need needs needed like liked love use used using try tried find found tell told ask
asked say said says call called calls calling put keep kept run running set show shows showed turn turned start started
stop stopped begin began end ended open opened close closed change changed move moved live lives lived work works worked
play played pay paid buy bought sell sold send sent receive received return returned update updated cancel cancelled
block blocked lose lost win won help helps wait waiting write wrote written read check checked confirm add added remove
removed delete increase decrease limit transfer order ordered ship shipped deliver delivered visit visited travel meet
met join joined leave left arrive arrived happen happened become became believe feel felt hear heard hold held bring
brought follow followed create created speak spoke spend spent grow grew offer offered remember consider appear appears
serve served die died expect build built stay stayed fall fell cut reach reached kill raise pass passed decide decided
account accounts number numbers card cards credit debit bank balance money cash payment payments bill billing address
addresses phone email mail name names date time times day days week weeks month months year years hour hours minute
minutes morning afternoon evening night person people man men woman women child children kid kids boy girl friend
friends family father mother parent parents brother sister son daughter husband wife partner home house office company
business customer customers client clients service services support team member members manager director president
vice chairman chief executive officer ceo cfo cto doctor nurse teacher student school university college class course
book books story song songs album band music movie film show game games team player photo picture video news article
report page site website web internet online link password user username login code message messages question questions
answer answers problem problems issue issues error errors case cases fact facts thing things way ways place places
part parts point points side group groups country countries city state states government law right rights world war
history art science research technology computer software hardware system systems data information program project
projects plan plans idea ideas reason reasons result results example examples level levels type types kind kinds form
forms line lines list lists item items product products price prices cost costs value values rate rates share shares
market markets industry economy trade job jobs position role life death health food water air fire car cars bus train
station airport flight hotel restaurant street road room door window table bed street town village area region land sea
river mountain hill park north south east west northern southern eastern western red blue green black white yellow
brown grey gray orange pink purple royal princess prince king queen lord lady duke great grand national international
european american british union treaty convention agreement article act bill section chapter part committee council
commission parliament congress senate house court supreme federal public private social security general special
senior junior labor labour thanksgiving halloween weekend holiday birthday anniversary entertainment weekly daily
monthly times post journal magazine press tv radio channel network club society association foundation institute
center centre church temple museum library theatre theater hall stadium arena cup league world award awards prize
festival concert tour event events conference meeting party dinner lunch breakfast god lord jesus christ bible english
spanish french german latin greek internet facebook twitter google youtube linkedin amazon apple microsoft windows
linux java python iphone android usa uk eu un us pm am id ids ssn iban zip pin atm faq asap fyi btw lol dob tel fax
mobile cell license licence driver drivers passport visa mastercard amex discover paypal statement subscription
expires expired expiry valid invalid lost stolen new nan null none unknown tube snake boogie christmas easter live love little big
celebrating written answer told during regarding concerning according despite once upon till someone somebody anyone
anybody everyone everybody nobody nothing something anything everything myself yourself himself herself itself ourselves
themselves whats thats its im ive id ill youre dont doesnt didnt cant wont isnt wasnt couldnt wouldnt
i'm i've i'd i'll you're you've you'll he's she's it's we're we've they're that's what's who's where's how's here's
there's let's don't doesn't didn't can't won't isn't wasn't aren't weren't couldn't wouldn't shouldn't haven't hasn't
attention warning notice note subject re fw hereby sincerely regards best cheers yours welcome congratulations happy
merry quick fast slow hard easy free full empty ready busy nice cool hot cold warm dark light sweet fresh clean dirty
amazing awesome perfect beautiful wonderful terrible horrible funny interesting important different similar several
various certain recent current former original main major minor local global total average final original common
real fake bot human robot machine tone gimme wanna gonna mayor governor senator minister
ambassador captain sergeant detective officer pilot rolling stones paint store starbucks contact signed forward ring
researchers scientists police firefighters experts critics fans residents voters officials unfortunately fortunately
according additionally finally suddenly eventually recently currently apparently obviously hopefully generally especially
login log logged reset declined refused apply applies rules terms conditions policy privacy insurance claim claims refund
loan loans mortgage savings interest fee fees tax taxes income budget contract appointment reservation booking ticket
tickets seat delivery package parcel invoice receipt quote request requests access permission error failed failure server
database network cloud api http https json xml html css sql version release feature bug fix build test deploy production
staging debug info warn fatal critical start end null total count size";

const STREET_TYPES: &str = "
street st road rd avenue ave boulevard blvd lane ln drive dr court ct place pl square sq terrace ter way highway hwy
parkway pkwy circle cir trail trl close crescent cres row walk mews gardens grove alley plaza quay crossing loop pike
rise hill brook bypass camp canyon cape cliff cliffs common corner corners cove creek dale estate estates expressway
extension fall falls ferry field fields flats ford forest forge fork forks freeway gateway glen green harbor harbour haven
heights hollow inlet island islands isle junction junctions key keys knoll knolls lake lakes landing light lights lock locks
lodge manor meadow meadows mill mills mission motorway mount mountain mountains neck orchard oval overpass park parks pass
passage path pine pines plain plains plazas point points port ports prairie ranch rapid rapids ridge ridges river roads
shoal shoals shore shores skyway spring springs spur squares station stravenue stream streets summit throughway trace track
trafficway tunnel turnpike underpass union unions valley valleys via viaduct view views village villages ville vista walks
wall ways well wells";

const STREET_FIRSTS: &str = "
rue avenue boulevard chemin allée impasse quai via viale piazza corso vicolo calle avenida paseo plaza carrer camino rua
travessa praça largo ul ulica aleja al os plac náměstí třída ulice ulitsa улица проспект οδός πλατεία λεωφόρος c/ strada
bulevardul calea ulica trg bulevar cesta rruga jalan sokak cadde rúa av avda";

const COUNTRIES: &str = "
afghanistan albania algeria andorra angola anguilla argentina armenia aruba australia austria azerbaijan bahamas bahrain
bangladesh barbados belarus belgium belize benin bermuda bhutan bolivia bosnia botswana brazil brunei bulgaria burundi
cambodia cameroon canada chad chile china colombia comoros congo croatia cuba curaçao cyprus czechia denmark djibouti
dominica ecuador egypt england eritrea estonia eswatini ethiopia fiji finland france gabon gambia georgia germany ghana
gibraltar greece greenland grenada guadeloupe guam guatemala guernsey guinea guyana haiti honduras hungary iceland india
indonesia iran iraq ireland israel italy jamaica japan jersey jordan kazakhstan kenya kiribati kosovo kuwait kyrgyzstan
laos latvia lebanon lesotho liberia libya liechtenstein lithuania luxembourg macao macau macedonia madagascar malawi
malaysia maldives mali malta martinique mauritania mauritius mayotte mexico micronesia moldova monaco mongolia montenegro
montserrat morocco mozambique myanmar namibia nauru nepal netherlands nicaragua niger nigeria niue norway oman pakistan
palau palestine panama paraguay peru philippines poland portugal qatar romania russia rwanda samoa scotland senegal
serbia seychelles singapore slovakia slovenia somalia spain sudan suriname swaziland sweden switzerland syria taiwan
tajikistan tanzania thailand togo tokelau tonga tunisia turkey turkmenistan tuvalu uganda ukraine uruguay usa uzbekistan
vanuatu venezuela vietnam wales yemen zambia zimbabwe réunion";

const NATIONALITIES: &str = "
afghan albanian algerian andorran angolan argentine argentinian armenian australian austrian azerbaijani bahraini
bangladeshi belarusian belgian bolivian bosnian brazilian bulgarian burmese cambodian cameroonian canadian chadian
chilean chinese colombian congolese croatian cuban cypriot czech danish dutch ecuadorian egyptian emirati english
estonian ethiopian fijian filipino finnish french gambian georgian german ghanaian greek guatemalan guinean haitian
honduran hungarian icelandic indian indonesian iranian iraqi irish israeli italian jamaican japanese jordanian kazakh
kenyan korean kuwaiti laotian latvian lebanese liberian libyan lithuanian malagasy malaysian maltese mauritian mexican
moldovan mongolian montenegrin moroccan mozambican namibian nepalese nicaraguan nigerian norwegian omani pakistani
palestinian panamanian paraguayan peruvian polish portuguese qatari romanian russian rwandan samoan saudi scottish
senegalese serbian singaporean slovak slovenian somali spanish sudanese swedish swiss syrian taiwanese tajik tanzanian
thai togolese tongan tunisian turkish turkmen ugandan ukrainian uruguayan uzbek venezuelan vietnamese welsh yemeni
zambian zimbabwean";

const REGIONS: &str = "
alabama alaska arizona arkansas california colorado connecticut delaware florida hawaii idaho illinois indiana iowa
kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana nebraska nevada
ohio oklahoma oregon pennsylvania tennessee texas utah vermont virginia washington wisconsin wyoming ontario quebec
manitoba alberta saskatchewan queensland tasmania bavaria catalonia andalusia tuscany sicily";

const CITIES: &str = "
london paris berlin madrid rome vienna lisbon dublin amsterdam brussels copenhagen stockholm oslo helsinki warsaw prague
budapest athens moscow istanbul ankara cairo lagos nairobi johannesburg casablanca tunis algiers tokyo osaka kyoto
beijing shanghai shenzhen guangzhou seoul bangkok hanoi manila jakarta singapore mumbai delhi bangalore chennai kolkata
karachi lahore dhaka tehran baghdad riyadh dubai doha beirut jerusalem sydney melbourne brisbane perth adelaide auckland
wellington toronto montreal vancouver ottawa calgary chicago boston houston dallas austin seattle denver phoenix atlanta
miami detroit philadelphia baltimore portland orlando memphis nashville cleveland pittsburgh sacramento minneapolis
bogota lima santiago caracas quito havana barcelona valencia seville milan naples turin venice florence munich hamburg
cologne frankfurt stuttgart dresden leipzig zurich geneva basel bern lyon marseille toulouse bordeaux nantes lille
rotterdam antwerp ghent manchester liverpool birmingham leeds glasgow edinburgh cardiff belfast krakow gdansk zagreb
belgrade sofia bucharest kiev kyiv minsk riga tallinn vilnius reykjavik gothenburg bergen aarhus turku tampere porto";

const FIRMS: &str = "
inc incorporated llc ltd limited corp corporation gmbh ag plc co company group holdings bank university college institute
solutions systems technologies software labs partners associates consulting industries enterprises international
ventures capital media studios energy pharmaceuticals insurance airlines motors foods foundation hospital clinic";

/// Words that are frequent in documentation.
const DOCUMENT_WORDS: &str = "
able absence absolute abstract accept acceptance accepted accepts accessed accessible accidentally achieve acquired
action actions active actual adding addition additional adds adjacent affect affected aggregate algorithm algorithms
alias aliases alive allow allowance allowed allowing allows alone along alpha alter alternative amount angle
annotation annotations anonymous ans anymore anyway append applicable application applications applied approach
appropriate approximation arbitrary architecture architectures archive archives arg argc args argument arguments
arithmetic array arrays ascii assembler assertion assign assigned assignment assignments associated assume assumed
assumes assuming ast asynchronous attach attached attempt attempted attempting attempts attr attribute attributes
attrs audio augmented authentication authors automatically available avoid away back backslash backslashes backup
backward backwards bareword barrier base based bases basic basis becomes beginning begins behalf behavior behaviour
binary binascii bind binding bindings bit bits bitwise blank blo blocking blocks body bool boolean bound brace braces
bracket brackets branch break breaking breakpoint breakpoints breaks brief broken browser browsers buffer buffered
buffering buffers bugs builds builtin builtins byte bytearray bytecode bytes cache cached calculated callable callback
callbacks caller callers cannot canonical canvas capture captured capturing care carry category caught cause caused
causes certfile certificate chain changes changing char character characters charge charset checker checkers checking
checks choice choose chosen chunk chunks circumstances classes clear clearly closely closing cls cmd codec codecs
coefficient collection colon color column combination combine combined comes comma command commands comment comments
commonly compare compared comparing comparison comparisons compatibility compatible compilation compile compiled
compiler compiles complement complete completely completion complex compliance comply component components compress
compressed compression comptype compute computed concerns condition conditional config configuration configure
conflict confused confusing connect connected connection consequence considered consistency consistent consisting
consists constant constants construct constructed constructor constructs consumed contain contained container
containing contains content contents context contexts continue contributor control controlled convenient conversion
convert converted convey conveying copied copies copy copying copyright core coroutine correct correctly correctness
corresponding corresponds corrupt corruption counter counts cover covered covers cpp creates creating creation crypto
curly custom customized cycle daemon dat dataclass datetime deal debian debugged debugger debugging decimal
declaration declare declared decode decoded decoder decorated decorator dedicated def default defaults define defined
defines defining definition definitions delay deleted delimiter delimiters depend dependencies dependency depending
depends deprecated derivative derived describe described describing description descriptor descriptors designated
designed desired dest destination destroyed detail detailed details detected determine determined developers
development device diagnostic dict dictionary dicts diff differ difference differences differs digit digits dir direct
direction directly directories directory dirhandle dirname disable disabled discarded disclaimer discovered discuss
discussion disk display displayed distribute distributed distribution distributions distutils division doc docs
docstring docstrings doctest documentation documented documents dot dotted double download drawing driven drv dst due
duplicate dynamic earlier easily edit editing effect effective effectively efficient element elements ellipses emacs
embedded emit emitted emulate enable enabled enables enclosing encoded encoding encodings encountered ending engine
enough ensure entered entire entirely entitled entity entries entry enum env environ environment equal equivalent err
errno escape escaped escapes etc eval evaluate evaluated evaluates evaluating evaluation ever exact exactly exc
exceeded except exception exceptions excluding exclusive exclusively executable executables execute executed executing
execution exist existing exists exit exited exits exp expanded expansion expected expecting expects experimental
explain explicit explicitly exponent express expressed expression expressions ext extend extended extensions extent
external extra extract extracted facilities factory fail fails failures fakeroot fallback far faster features feed
fewer figure file filehandle filename filenames fileobj files filesystem fill filled filter finding fine finished
finite fit fixed flag flags float floating floats flow following follows font fonts foo force forgot format formats
formatted formatter formatting fractions frame frames freed freedom freeing fromlist front frozen fullname fully fun
func function functionality functions functools further future garbage gcc generate generated generator generic gets
gettext getting git gives giving glob globalns globals globs gnutls goto governed grammar grant granted grants
graphics greater grouping guarantee guaranteed guard guess gzip hand handle handled handler handles handling happens
hash hashable hashes hashing header headers heading heap helper hence herein hex hexadecimal higher hit holder holds
hook hope host hostname hppa identical identifier identifiers identify iff ignore ignored illegal image immediately
immutable implement implementation implemented implements implicit implicitly implied import imported importlib
imports impossible inadvertently include included includes including incompatible incomplete incorrect indent
indentation independent index indicate indicated indicates indicating indices indirectly individual infinite infinity
inherit inherited initial initialization initialize initialized inner input inputs insert inserted inside inspect
install installation installed installing instance instances instead instructions int integer integers intended
interaction interactive interface interfaces internal internally interpolation interpreted interpreter intervening
introduced invariant invoke invoked issued iterable iterate iterated iteration iterator itertools jump junk keeping
kernel keyed keyfile keyword keywords knowledge knows kwargs kwds label labels lack lambda language larger largest
later latest latter layer lead leading legal length letter lexer lexical liability libc libraries licensed licenses
likelihood likely limitation limitations limits linear lineno linked linker linking links listed literal literally
literals load loaded loader loading locale locales localns locals locate location logical longer longest lookbehind
looked looks lookup lowercase lvalue machines magic mailbox mailing maintainers makes management managers manner
manual manually map mapped mapping mappings maps marked marker markobject marks markup match matched matches matching
material math matter maximum mean meaning meaningful means meant mechanism median medium memo memory mentioned merge
messier metaclass method methods middle minimal minimum mips mipsel missing mixed mod mode modification modifications
modified modifier modify modifying modname module modules modulo mostly msg multiple mutable named namedtuple
namespace native nearest necessarily necessary negative nested nesting newer newline newlines newly nextchar node
nodes non nonzero normal normally notation notes notices nss numeric numerical numerically obj object objects
obligations obtain obtained occur occurred occurs octal odd offering offset older omit omitted onerror ones opcode
opcodes opening openssl operand operands operate operating operation operations operator operators opt optimization
optimize option optional options opts ordering ordinary originally others otherwise outer output outside overflow
overflows overhead overridden override overwritten owner pack packages packaging packed pages pair pairs paragraph
paragraphs param parameter parameters parentheses parenthesis parse parsed parser parsing partial particular parties
passes passing past patch patches patent patents pathname paths pattern patterns pax pdb peculiar perform performed
perl permanently permissions permit permitted physical pickle pickled pickling pid pieces pip pipe piped placed
platform platforms plugin plus pointer pointers pointing polygon popped population portable portion portions pos
positional positive posix possibility possible possibly potentially power precedence preceding precise precision
preferred prefix prefixes preprocessed prerequisite present presentation prevent previously print printed printing
prints prior priority probably process processes processing produce produced produces profile profiler programming
programs prominent prompt proper properly properties property proprietary protect protected protection protocol
prototype provide provided provides providing proxy ptr publish published publisher purposes push puts qualify queue
quoted quotes race raised raises random range rational raw readable reader reading readline reads reasonable reasoning
receives recipient recipients recognized recommend recommended record recursion recursive recursively redistribute
reduce ref refer reference referenced references refers reflect regardless regex regexp registered registers registry
regular related relative released releases relevant rely remain remainder remaining remains remote remotly removal
removes rename reordering repeat replace replaced replacement reported reporting reports repr represent representable
representation represented representing represents reproduce requested require required requirement requirements
requires reserved resolution resolve resolved resource resp respect respectively response responses rest restore
restricted restriction restrictions resulting retrieved retry retrying returning returns reverse risk root round
rounded rounding routine routines rule runs runtime safe sample satisfy save saved saying scalar scalars scheme scope
scratch screen script scripts search searched seconds seek seem select selected selector self semantics sense separate
separated separator separators sequence sequences series servers session sets setting settings setup shape shar shared
shell shown shutdown shutil sigma sign signal signals signature signatures significant silently similarly simple
simply single sizes skip skipped slash slashes slice slot slots smaller smallest smashing snapshot snapshots snippet
socket sockets soon sort sorted source sources space spaces spec specific specification specified specifies specify
specifying speed spelling split src stack standard starting starts startup stat stated statements stating statistics
status stderr stdin stdout step steps storage stored streams strict strictly string strings struct structure
structures stuff sub subclass subclasses sublicense subpattern subprocess subroutine subroutines subs subscript
subsequent subset substitution succeed successful successfully sufficient suffix suitable sum summarized summary
supplied supply supported supports supposed suppress switch symbol symbolic symbols symlink symlinks symptom syntax
sys tab tabs tag takes taking tar tarfile target targetpath tarinfo tells template temporary term terminal terminate
terminated terminates tested testing tests text thread threading threads throw thrown thus timeout timer timezone
title titles together token tool tools top topmost traceback tracking trailing transformed translate translated
translation treat treated tree tries triggered triggers truncated trying tty tuple tuples turtle typ typed typically
typing tzinfo unable unary unavailable unchanged uncompressed undefined underlying unexpected unicode unique universal
unix unlike unopened unpack unpacking unpickling unsigned unwinding upper upstream url usable usage useful users uses
usual utilities utility val var varargs variable variables vector verb verbatim versions violates violation virtual
visible void volatile vulnerable wants warnings warranty weekday weights whatever whence whenever whereabouts
whitespace whoever whole width wildcard wish working wrap wrapped wrapper writable writing xmlsec yield yields zero
zeros zinfo zipfile zlib zone";
