using System.Collections.Concurrent;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace Orleans.Runtime
{
    /// <summary>
    /// Makes the classes behind references: each method packs its arguments into a value tuple and hands them to
    /// <see cref="GrainReference"/>.
    /// </summary>
    internal static class ReferenceEmitter
    {
        private static readonly ConcurrentDictionary<Type, Lazy<Func<InterfaceMap, GrainId, SiloAddress?, GrainReference>>> Factories = new();

        public static Func<InterfaceMap, GrainId, SiloAddress?, GrainReference> Get(Type interfaceType) =>
            Factories.GetOrAdd(interfaceType, static type => new(() => Emit(type))).Value;

        private static Func<InterfaceMap, GrainId, SiloAddress?, GrainReference> Emit(Type interfaceType)
        {
            if (!interfaceType.IsInterface)
            {
                throw new ArgumentException($"{interfaceType} is not an interface.", nameof(interfaceType));
            }

            Type[] constructorTypes = [typeof(InterfaceMap), typeof(GrainId), typeof(SiloAddress)];
            TypeBuilder type = DefineModule(interfaceType).DefineType(
                $"Reference_{interfaceType.Name}", TypeAttributes.Class | TypeAttributes.Sealed | TypeAttributes.NotPublic, typeof(GrainReference), [interfaceType]);
            EmitConstructor(type, constructorTypes);
            int index = 0;
            foreach (MethodInfo method in InterfaceMap.MethodsOf(interfaceType))
            {
                EmitMethod(type, method, index++);
            }

            ConstructorInfo constructor = type.CreateType().GetConstructor(constructorTypes)!;
            System.Linq.Expressions.ParameterExpression[] parameters = [.. constructorTypes.Select(one => System.Linq.Expressions.Expression.Parameter(one))];
            return System.Linq.Expressions.Expression.Lambda<Func<InterfaceMap, GrainId, SiloAddress?, GrainReference>>(
                System.Linq.Expressions.Expression.New(constructor, parameters), parameters).Compile();
        }

        private static ModuleBuilder DefineModule(Type interfaceType)
        {
            // An assembly for each interface, since which internals it may see has to be said before it is first used.
            AssemblyBuilder assembly = AssemblyBuilder.DefineDynamicAssembly(
                new AssemblyName($"Orleans.References.{interfaceType.Name}"), AssemblyBuilderAccess.Run);
            ConstructorInfo attribute = typeof(IgnoresAccessChecksToAttribute).GetConstructor([typeof(string)])!;
            IEnumerable<Type> mentioned = InterfaceMap.MethodsOf(interfaceType)
                .SelectMany(method => method.GetParameters().Select(parameter => parameter.ParameterType).Append(method.ReturnType))
                .SelectMany(Parts)
                .Append(interfaceType)
                .Concat(interfaceType.GetInterfaces())
                .Append(typeof(GrainReference));
            foreach (string name in mentioned.Select(type => type.Assembly.GetName().Name!).Distinct())
            {
                assembly.SetCustomAttribute(new CustomAttributeBuilder(attribute, [name]));
            }

            return assembly.DefineDynamicModule("References");
        }

        private static IEnumerable<Type> Parts(Type type) =>
            type.HasElementType ? Parts(type.GetElementType()!)
            : type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type)
            : [type];

        private static void EmitConstructor(TypeBuilder type, Type[] parameters)
        {
            ConstructorInfo parent = typeof(GrainReference).GetConstructor(BindingFlags.Instance | BindingFlags.NonPublic, parameters)!;
            ILGenerator il = type.DefineConstructor(MethodAttributes.Public, CallingConventions.HasThis, parameters).GetILGenerator();
            for (int index = 0; index <= parameters.Length; index++)
            {
                il.Emit(OpCodes.Ldarg, index);
            }

            il.Emit(OpCodes.Call, parent);
            il.Emit(OpCodes.Ret);
        }

        private static void EmitMethod(TypeBuilder type, MethodInfo method, int index)
        {
            Type[] parameters = [.. method.GetParameters().Select(parameter => parameter.ParameterType)];
            MethodBuilder body = type.DefineMethod(
                $"{method.DeclaringType!.FullName}.{method.Name}",
                MethodAttributes.Private | MethodAttributes.Final | MethodAttributes.HideBySig | MethodAttributes.NewSlot | MethodAttributes.Virtual,
                method.ReturnType,
                parameters);
            ILGenerator il = body.GetILGenerator();
            Type args = ArgumentTuple.TypeOf(parameters);
            il.Emit(OpCodes.Ldarg_0);
            il.Emit(OpCodes.Ldc_I4, index);
            for (int parameter = 0; parameter < parameters.Length; parameter++)
            {
                il.Emit(OpCodes.Ldarg, parameter + 1);
            }

            EmitTuple(il, args);
            il.Emit(OpCodes.Call, InvokerOf(method, args));
            il.Emit(OpCodes.Ret);
            type.DefineMethodOverride(body, method);
        }

        /// <summary>The innermost tuple takes the topmost arguments, so it is made first.</summary>
        private static void EmitTuple(ILGenerator il, Type args)
        {
            if (!args.IsGenericType)
            {
                il.Emit(OpCodes.Ldloc, il.DeclareLocal(args));
                return;
            }

            Type[] items = args.GetGenericArguments();
            if (items.Length == 8)
            {
                EmitTuple(il, items[7]);
            }

            il.Emit(OpCodes.Newobj, args.GetConstructor(items)!);
        }

        private static MethodInfo InvokerOf(MethodInfo method, Type args)
        {
            Type result = InterfaceRegistry.ResultOf(method);
            bool value = method.ReturnType.IsValueType;
            MethodInfo Invoker(string name) => typeof(GrainReference).GetMethod(name, BindingFlags.Instance | BindingFlags.NonPublic)!;
            return method.ReturnType == typeof(void) ? Invoker(nameof(GrainReference.InvokeVoid)).MakeGenericMethod(args)
                : result == typeof(Nothing)
                    ? Invoker(value ? nameof(GrainReference.InvokeValueTask) : nameof(GrainReference.InvokeTask)).MakeGenericMethod(args)
                : Invoker(value ? nameof(GrainReference.InvokeValueTaskOf) : nameof(GrainReference.InvokeTaskOf)).MakeGenericMethod(args, result);
        }
    }
}

namespace System.Runtime.CompilerServices
{
    /// <summary>The runtime lets an assembly that carries it see the internals of the one it names.</summary>
    [AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
    internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
    {
        public string AssemblyName { get; } = assemblyName;
    }
}
